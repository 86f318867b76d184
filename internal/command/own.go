package command

// QUORD.GET, QUORD.PUT and QUORD.DEL are the data commands that every keyspace understands. In a strong keyspace
// they are GET, SET and DEL of one key; how many replicas to ask (R n) or to wait for (W n) is a question that only
// quorum keyspaces pose, and a client that asks it here has a wrong idea of what it gets: it is told so.

func evalQuordGet(v View, args [][]byte, out []byte) []byte {
	if problem := quorumOption(args[2:], "r"); problem != "" {
		return appendError(out, problem)
	}
	return evalGet(v, args, out)
}

func evalQuordPut(v View, args [][]byte, out []byte) []byte {
	if problem := quorumOption(args[3:], "w"); problem != "" {
		return appendError(out, problem)
	}
	return set(v, "quord.put", args[1], args[2], &setOptions{}, out)
}

func evalQuordDel(v View, args [][]byte, out []byte) []byte {
	if problem := quorumOption(args[2:], "w"); problem != "" {
		return appendError(out, problem)
	}
	return evalDel(v, args[:2], out)
}

// quorumOption returns the error for what follows key and value, empty where nothing does.
func quorumOption(words [][]byte, option string) string {
	if len(words) == 0 {
		return ""
	}
	if len(words) != 2 || !equalFold(words[0], option) {
		return errSyntax
	}
	if n, ok := parseInt(words[1]); !ok || n < 1 {
		return errNotInteger
	}
	return "ERR R and W belong to quorum keyspaces; this key lies in a strong one, where every read and write " +
		"is agreed on by a majority: leave the option out"
}
