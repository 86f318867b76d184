package server

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/resp"
)

// settings are what CONFIG GET shows: what programs for Redis ask for, answered by what is true here.
func (c *session) settings() map[string]string {
	cfg, id, f := &c.srv.cfg, c.srv.backend.Identity(), c.srv.backend.Figures()
	return map[string]string{
		"save": "", "appendonly": "yes", "appendfsync": "always", "databases": "1", "cluster-enabled": "no",
		"maxmemory": strconv.FormatUint(f.MaxMemory, 10), "maxmemory-policy": "noeviction", "io-threads": "1",
		"proto-max-bulk-len": strconv.Itoa(cfg.MaxValue), "maxclients": strconv.Itoa(cfg.MaxClients),
		"timeout": strconv.Itoa(int(cfg.IdleTimeout.Seconds())), "tcp-keepalive": "60", "dir": id.Dir,
		"client-query-buffer-limit": strconv.Itoa(cfg.limits(true).MaxCommand), "loglevel": "notice",
		"slowlog-log-slower-than": "-1", "slowlog-max-len": "0", "latency-monitor-threshold": "0",
		"notify-keyspace-events": "", "lfu-log-factor": "10", "lazyfree-lazy-user-flush": "yes",
		"hash-max-listpack-entries": "512", "tls-port": "0", "replica-read-only": "yes",
	}
}

func (c *session) configGet(args [][]byte, out []byte) []byte {
	all := c.settings()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if slices.ContainsFunc(args[2:], func(p []byte) bool { return command.MatchFold(p, []byte(name)) }) {
			names = append(names, name)
		}
	}
	out = resp.AppendMap(out, len(names))
	for _, name := range names {
		out = appendPair(out, name, all[name])
	}
	return out
}

func (c *session) configSet(args [][]byte, out []byte) []byte {
	if len(args)%2 != 0 {
		return resp.AppendError(out, errSyntax)
	}
	all := c.settings()
	for i := 2; i < len(args); i += 2 {
		if _, known := all[strings.ToLower(string(args[i]))]; !known {
			return resp.AppendError(out, fmt.Sprintf(
				"ERR Unknown option or number of arguments for CONFIG SET - '%.128s'", args[i]))
		}
	}
	return resp.AppendError(out, fmt.Sprintf("ERR CONFIG SET failed - can't set '%.128s' in a running node: "+
		"settings are flags of `quord serve`, environment variables or keys of its file", args[2]))
}

func (c *session) configRewrite(_ [][]byte, out []byte) []byte {
	return resp.AppendError(out, "ERR a node does not write its settings back to their file")
}

func (c *session) configResetStat(_ [][]byte, out []byte) []byte {
	c.srv.resetStats()
	return append(out, okReply...)
}
