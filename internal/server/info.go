package server

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/resp"
)

// section is one part of INFO. byDefault: shown without arguments, as Redis does.
type section struct {
	name      string
	byDefault bool
	write     func(c *session, p *infoText)
}

var sections = []section{
	{"Server", true, (*session).infoServer},
	{"Clients", true, (*session).infoClients},
	{"Memory", true, (*session).infoMemory},
	{"Persistence", true, (*session).infoPersistence},
	{"Stats", true, (*session).infoStats},
	{"Replication", true, (*session).infoReplication},
	{"CPU", true, (*session).infoCPU},
	{"Commandstats", false, (*session).infoCommands},
	{"Errorstats", true, (*session).infoErrors},
	{"Cluster", true, (*session).infoCluster},
	{"Keyspace", true, (*session).infoKeyspace},
	{"Quord", true, (*session).infoQuord},
}

// infoText is INFO as it is being written: lines that end with CR LF.
type infoText struct{ strings.Builder }

func (p *infoText) line(key string, value any) { fmt.Fprintf(p, "%s:%v\r\n", key, value) }

// lines writes keys and values in turn.
func (p *infoText) lines(kv ...any) {
	for i := 0; i < len(kv); i += 2 {
		p.line(kv[i].(string), kv[i+1])
	}
}

// info is INFO [section ...]. Unknown sections are left out, as in Redis.
func (c *session) info(args [][]byte, out []byte) []byte {
	want := func(s section) bool {
		for _, a := range args[1:] {
			if is(a, s.name) || is(a, "all") || is(a, "everything") || is(a, "default") && s.byDefault {
				return true
			}
		}
		return len(args) == 1 && s.byDefault
	}
	var p infoText
	for _, s := range sections {
		if !want(s) {
			continue
		}
		if p.Len() > 0 {
			p.WriteString("\r\n")
		}
		p.WriteString("# " + s.name + "\r\n")
		s.write(c, &p)
	}
	return resp.AppendVerbatim(out, p.String())
}

func (c *session) infoServer(p *infoText) {
	id, now := c.srv.backend.Identity(), c.srv.cfg.Now()
	up := max(0, now.Sub(id.Started))
	p.lines(
		"redis_version", redisVersion, "quord_version", id.Version, "redis_mode", "standalone",
		"os", runtime.GOOS+" "+runtime.GOARCH, "arch_bits", 64, "go_version", runtime.Version(),
		"process_id", os.Getpid(), "run_id", c.srv.runID, "tcp_port", portOf(c.laddr),
		"server_time_usec", now.UnixMicro(), "uptime_in_seconds", int64(up.Seconds()),
		"uptime_in_days", int64(up.Hours()/24), "hz", 0, "executable", "quord", "config_file", "",
	)
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func (c *session) infoClients(p *infoText) {
	m := c.srv.Metrics()
	p.lines("connected_clients", m.Connections, "maxclients", m.MaxConnections, "blocked_clients", 0,
		"tracking_clients", 0, "client_input_bytes", m.InputBytes, "max_client_input_bytes", m.MaxInputBytes)
}

// infoMemory tells as used what lives on Go's heap (the store's blocks may lie outside it), and of the process what the
// system counts: what is resident now, and as the peak what ever was.
func (c *session) infoMemory(p *infoText) {
	heap := goMemory("/memory/classes/heap/objects:bytes")
	rss, peak := resident()
	f := c.srv.backend.Figures()
	p.lines("used_memory", heap, "used_memory_human", human(heap), "used_memory_rss", rss,
		"used_memory_rss_human", human(rss))
	if peak > 0 {
		p.lines("used_memory_peak", peak, "used_memory_peak_human", human(peak))
	}
	p.lines("maxmemory", f.MaxMemory, "maxmemory_human", human(f.MaxMemory), "maxmemory_policy", "noeviction",
		"mem_fragmentation_ratio", fmt.Sprintf("%.2f", float64(rss)/float64(max(1, heap))), "mem_allocator", "go")
}

// goMemory returns a figure of package runtime/metrics that is a number of bytes.
func goMemory(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// heapMapped is what Go has of the system and has not given back: resident memory where the system does not tell.
func heapMapped() uint64 {
	return goMemory("/memory/classes/total:bytes") - goMemory("/memory/classes/heap/released:bytes")
}

func human(n uint64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	f := float64(n) / 1024
	i := 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	return fmt.Sprintf("%.2f%c", f, units[i])
}

func (c *session) infoPersistence(p *infoText) {
	f := c.srv.backend.Figures()
	status := "ok"
	if f.Fault != "" {
		status = "err"
	}
	p.lines("loading", 0, "async_loading", 0, "rdb_changes_since_last_save", 0, "rdb_bgsave_in_progress", 0,
		"rdb_last_save_time", c.srv.started.Unix(), "rdb_last_bgsave_status", "ok", "aof_enabled", 1,
		"aof_rewrite_in_progress", 0, "aof_last_write_status", status, "aof_current_size", f.StoreBytes)
}

func (c *session) infoStats(p *infoText) {
	m, f := c.srv.Metrics(), c.srv.backend.Figures()
	var errors uint64
	for _, n := range m.Errors {
		errors += n
	}
	p.lines("total_connections_received", m.Accepted, "total_commands_processed", m.Commands,
		"total_net_input_bytes", m.BytesIn, "total_net_output_bytes", m.BytesOut,
		"rejected_connections", m.Rejected, "expired_keys", f.ExpiredKeys, "evicted_keys", 0,
		"keyspace_hits", f.CacheHits, "keyspace_misses", f.CacheMisses, "pubsub_channels", 0, "pubsub_patterns", 0,
		"total_error_replies", errors, "acl_access_denied_auth", m.AuthFailed,
		"client_query_buffer_limit_disconnections", m.Dropped["no_memory"],
		"client_output_buffer_limit_disconnections", m.Dropped["slow"])
}

func (c *session) infoReplication(p *infoText) {
	id, f := c.srv.backend.Identity(), c.srv.backend.Figures()
	p.lines("role", "master", "connected_slaves", 0, "master_failover_state", "no-failover",
		"master_replid", id.ClusterID, "quord_replicas", id.Replicas, "quord_fewest_voters", f.Voters)
}

func (c *session) infoCPU(p *infoText) {
	user, system := cpuTime()
	p.lines("used_cpu_sys", seconds(system), "used_cpu_user", seconds(user))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

func (c *session) infoCommands(p *infoText) {
	for _, m := range c.srv.Metrics().ByCommand {
		if m.Name == "unknown" {
			continue
		}
		calls := m.OK.Calls + m.Failed.Calls
		took := m.OK.Time + m.Failed.Time
		per := 0.0
		if calls > 0 {
			per = float64(took.Microseconds()) / float64(calls)
		}
		p.line("cmdstat_"+m.Name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			calls, took.Microseconds(), per, m.Rejected, m.Failed.Calls))
	}
}

func (c *session) infoErrors(p *infoText) {
	counts := c.srv.Metrics().Errors
	codes := make([]string, 0, len(counts))
	for code := range counts {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		p.line("errorstat_"+code, fmt.Sprintf("count=%d", counts[code]))
	}
}

func (c *session) infoCluster(p *infoText) { p.line("cluster_enabled", 0) }

// infoKeyspace shows the one database. The number of keys that expire is not counted.
func (c *session) infoKeyspace(p *infoText) {
	if n, known := c.srv.recentKeys(); known && n > 0 {
		p.line("db0", fmt.Sprintf("keys=%d,expires=0,avg_ttl=0", n))
	}
}

func (c *session) infoQuord(p *infoText) {
	id, f := c.srv.backend.Identity(), c.srv.backend.Figures()
	p.lines("node_id", id.NodeID, "cluster_id", id.ClusterID, "version", id.Version, "addr", id.Addr,
		"peer_addr", id.PeerAddr, "http_addr", id.HTTPAddr, "zone", id.Zone, "members_up", f.Members,
		"replicas", id.Replicas, "tablets", c.srv.tablets, "tablets_led", f.Leads, "tablets_held", f.Holds,
		"store_bytes", f.StoreBytes, "disk_free_bytes", f.DiskFree,
		"durability", "an acknowledged write is on the disks (fsync) of a majority of the replicas of its tablet",
		"consistency", "linearizable for each key; several keys are atomic within one slot")
	if f.Fault != "" {
		p.line("fault", strings.NewReplacer("\r", " ", "\n", " ").Replace(f.Fault))
	}
	l := &c.srv.leaving
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active {
		p.lines("leaving", 1, "leave_done", l.done, "leave_total", l.total)
	}
}
