// Package admin holds the shapes in which a node describes itself: what QUORD.RING, QUORD.LOOKUP and
// QUORD.STATUS answer and what the verbs print with --json. Other programs rely on these names; they only ever
// grow. The package is pure and holds no behaviour beyond finding out whether a status is healthy.
package admin

// Ring describes the nodes in ring order.
type Ring struct {
	Cluster  string `json:"cluster"`
	Replicas int    `json:"replicas"`
	Tablets  int    `json:"tablets"`
	Nodes    []Node `json:"nodes"`
}

// Node describes one node of the ring. Share is the part of the tablets whose first target the node is.
type Node struct {
	ID          string  `json:"id"`
	Addr        string  `json:"addr"`
	ClusterAddr string  `json:"cluster_addr"`
	PeerAddr    string  `json:"peer_addr"`
	HTTPAddr    string  `json:"http_addr"`
	Zone        string  `json:"zone"`
	Weight      float64 `json:"weight"`
	State       string  `json:"state"` // joining, up, suspect, down, leaving
	Tokens      int     `json:"tokens"`
	Share       float64 `json:"share"`
	Leads       int     `json:"leads"`
	Holds       int     `json:"holds"`
}

// Place names a node and the address where clients reach it.
type Place struct {
	ID   string `json:"id"`
	Addr string `json:"addr"`
}

// Hop is one step of a lookup. RTT is in microseconds.
type Hop struct {
	ID    string `json:"id"`
	Addr  string `json:"addr"`
	RTTus int64  `json:"rtt_us"`
}

// Lookup says where a key lies. Leader is nil while there is none.
type Lookup struct {
	Key      string  `json:"key"`
	Slot     int     `json:"slot"`
	Tablet   int     `json:"tablet"`
	ID       string  `json:"id"`
	Model    string  `json:"model"`
	Epoch    uint64  `json:"epoch"`
	Leader   *Place  `json:"leader"`
	Replicas []Place `json:"replicas"`
	Targets  []Place `json:"targets"`
	Mode     string  `json:"mode"` // iterative or recursive
	Hops     int     `json:"hops"`
	Path     []Hop   `json:"path"`
}

// Status says whether the cluster is healthy, and why not.
type Status struct {
	Healthy bool         `json:"healthy"`
	Why     []string     `json:"why"`
	Nodes   NodeCounts   `json:"nodes"`
	Tablets TabletCounts `json:"tablets"`
	Workers []Worker     `json:"workers"`
}

// NodeCounts counts the members by what is known of them.
type NodeCounts struct {
	Up      int `json:"up"`
	Suspect int `json:"suspect"`
	Down    int `json:"down"`
}

// TabletCounts counts the tablets, and those that are not as they should be.
type TabletCounts struct {
	Total           int `json:"total"`
	UnderReplicated int `json:"under_replicated"`
	Unavailable     int `json:"unavailable"`
	Moving          int `json:"moving"`
}

// Worker is a piece of background work. Why says what a waiting worker waits for.
type Worker struct {
	Name        string `json:"name"`
	State       string `json:"state"` // idle, running, waiting
	Why         string `json:"why"`
	Done        int64  `json:"done"`
	Total       int64  `json:"total"`
	BytesPerSec int64  `json:"bytes_per_s"`
	EtaSec      int64  `json:"eta_s"`
}
