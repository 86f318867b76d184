package server

import (
	"fmt"
	"sync/atomic"

	"github.com/quorddb/quord/internal/command"
)

// entry is a command of the table with what the server knows of it.
type entry struct {
	spec *command.Spec
	name string
	// handle carries out a command of the Session or the Cluster; nil where the tablets do it.
	handle handler
	// barrier: what came before in the pipeline is finished first.
	barrier bool

	ok, failed tally
	rejected   atomic.Uint64
}

// handler carries out a command, whose number of arguments has been checked, and appends the reply.
type handler func(c *session, args [][]byte, out []byte) []byte

// handlers are the commands that the server carries out itself, by full name. A command "x|help" needs none.
var handlers = map[string]handler{
	"ping": (*session).ping, "echo": (*session).echo, "hello": (*session).hello, "auth": (*session).auth,
	"select": (*session).selectDB, "quit": (*session).quitNow, "reset": (*session).reset,

	"client|id": (*session).clientID, "client|setname": (*session).clientSetName,
	"client|getname": (*session).clientGetName, "client|setinfo": (*session).clientSetInfo,
	"client|info": (*session).clientInfo, "client|list": (*session).clientList, "client|kill": (*session).clientKill,
	"client|reply": (*session).clientReply, "client|no-evict": (*session).clientFlag,
	"client|no-touch": (*session).clientFlag,

	"info": (*session).info, "time": (*session).time, "wait": (*session).wait,
	"config|get": (*session).configGet, "config|set": (*session).configSet,
	"config|rewrite": (*session).configRewrite, "config|resetstat": (*session).configResetStat,
	"cluster|keyslot": (*session).clusterKeySlot,

	"dbsize": (*session).dbSize, "scan": (*session).scan, "keys": (*session).matchingKeys,
	"flushall": (*session).flushAll, "flushdb": (*session).flushAll,

	"quord.lookup": (*session).quordLookup, "quord.ring": (*session).quordRing,
	"quord.status": (*session).quordStatus, "quord.leave": (*session).quordLeave,
	"quord.remove": (*session).quordRemove, "quord.replace": (*session).quordReplace,
}

// barriers are commands of the Session that tell of what came before them in the pipeline.
var barriers = map[string]bool{"info": true, "wait": true}

// newTable gives every command of the table its entry.
func newTable() (map[*command.Spec]*entry, *entry, error) {
	table := map[*command.Spec]*entry{}
	add := func(parent, spec *command.Spec) error {
		e := &entry{spec: spec, name: spec.FullName()}
		e.barrier = spec.Where == command.Cluster || barriers[e.name]
		if spec.Where != command.Tablet && len(spec.Subcommands) == 0 {
			switch e.handle = handlers[e.name]; {
			case e.handle != nil:
			case parent != nil && parent.Name == "command":
				e.handle = describeCommands
			case parent != nil && spec.Name == "help":
				e.handle = helpOn(parent)
			case parent != nil && parent.Name == "cluster":
				e.handle = (*session).clusterDisabled
			default:
				return fmt.Errorf("server: nobody carries out the command %q", e.name)
			}
		} else if spec.Name == "command" {
			e.handle = describeCommands
		}
		table[spec] = e
		return nil
	}
	for _, spec := range command.List() {
		if err := add(nil, spec); err != nil {
			return nil, nil, err
		}
		for _, sub := range spec.Subcommands {
			if err := add(spec, sub); err != nil {
				return nil, nil, err
			}
		}
	}
	return table, &entry{spec: &command.Spec{Name: "unknown"}, name: "unknown"}, nil
}

func describeCommands(_ *session, args [][]byte, out []byte) []byte {
	return command.AppendCommand(out, args)
}

func helpOn(spec *command.Spec) handler {
	return func(_ *session, _ [][]byte, out []byte) []byte { return command.AppendHelp(out, spec) }
}
