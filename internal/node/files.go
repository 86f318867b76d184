package node

import "syscall"

// What a node needs open besides the connections of its clients: tables of the store and what is being made of them, the
// journal, other nodes, /metrics. Without a file for its journal it ends, so clients may not have all there are.
const (
	ownFiles  = 2048
	maxTables = ownFiles / 2 // of those, tables
	// unknownFiles stands for a limit that the system does not tell.
	unknownFiles = 1 << 30
)

// allowedFiles returns how many open files the system allows this process; Go has raised that to the most that is allowed.
func allowedFiles() uint64 {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return unknownFiles
	}
	return r.Cur
}

// share divides the open files that the system allows: how many tables the store keeps open, and how many clients are
// taken of those that are wanted. Where there are few, the node has half of them.
func share(files uint64, wanted int) (tables, clients int) {
	n := int(min(files, unknownFiles))
	own := min(ownFiles, n/2)
	return min(maxTables, own/2), max(1, min(wanted, n-own))
}
