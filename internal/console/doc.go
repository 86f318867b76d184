// Package console is what a node shows over HTTP: /metrics for Prometheus, /healthz (the process lives) and /readyz
// (it is a member, has caught up with what it holds, and serves).
//
// It owns the paths, the server with its bounds, and the exposition. It owns no figure: every component keeps its
// figures in a plain struct, and the node hands over one Source per component, which reads that struct when somebody
// asks and names each figure. Names begin with quord_ and end in their unit (_seconds, _bytes, _total for counters);
// a name that does not begin so is refused, and the refusal is logged, while the rest is served. The Go runtime and
// the process are told as quord_go_* and quord_process_*.
//
// It refuses everything that would change something: there are only GET and HEAD. It asks for no password, as
// monitoring has none; it is switched off by an empty --http-addr.
//
// Bounds: maxConnections connections, a few concurrent scrapes, small headers, deadlines for every phase of a request.
//
// Concurrency: Open starts one goroutine that accepts; net/http adds one per connection. Sources and Ready are called
// from several goroutines at once. Close waits until all have ended, or its context has.
package console
