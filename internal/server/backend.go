package server

import (
	"context"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/request"
)

// Backend is the node as the sessions see it. All methods may be called from many goroutines.
type Backend interface {
	// Submit takes requests that are to be executed and never blocks. The Owner of each is told exactly once, by any
	// goroutine, also before Submit returns; each ends by itself when the request timeout has passed. The requests of
	// one call are of different tablets. The slice is the caller's again when Submit returns; a request that ended with
	// replies, and its bytes, are the caller's again when its Owner has been told. One that ended with a Failure may
	// still be read (not changed, and not ended again): the caller does not use it a second time.
	Submit(reqs []*request.Request)
	// Moment returns a moment for TryRead, on the node's clock. Reading the clock costs as much as a short read, so reads
	// that are asked for together share one.
	Moment() time.Duration
	// TryRead evaluates the reads of r on the calling goroutine if this node may answer them at once, linearizably;
	// otherwise it changes nothing and reports false. at is a moment after the reads were asked for, and after all that
	// they have to see; it may lie back any time. TryRead appends one reply per command to r.Replies, which is empty,
	// and may build the i-th in the space that an earlier reply has left: r.Replies[:i+1][i][:0] while i is below the
	// slice's capacity. Or it sets r.Failure. It does not tell the Owner.
	TryRead(at time.Duration, r *request.Request) bool
	// Tablets returns the number of tablets; it never changes.
	Tablets() int

	// Lookup finds where key lies; mode is "iterative" or "recursive".
	Lookup(ctx context.Context, key []byte, mode string) (admin.Lookup, error)
	Ring(ctx context.Context) (admin.Ring, error)
	Status(ctx context.Context) (admin.Status, error)
	// Leave hands over all that the node holds and returns when it is done; the node may stop afterwards, not before.
	// progress may be called from any goroutine.
	Leave(ctx context.Context, progress func(done, total int64)) error
	// Remove declares a dead node gone for good. It returns a sentence about what was, or would be, done.
	Remove(ctx context.Context, node string, dryRun bool) (string, error)
	// Replace does what Remove does where enough other nodes are up to hold every copy that is wanted, and is refused
	// elsewhere.
	Replace(ctx context.Context, node string, dryRun bool) (string, error)

	// Identity says who the node is. It is asked for INFO and HELLO only.
	Identity() Identity
	// Figures returns what INFO shows of the node's work. It must be quick and must not wait for other nodes.
	Figures() Figures
}

// Identity says who a node is.
type Identity struct {
	NodeID    string
	ClusterID string
	// Version is the version of Quord.
	Version string
	// Addr, PeerAddr and HTTPAddr are what others are told.
	Addr, PeerAddr, HTTPAddr string
	Zone                     string
	Started                  time.Time
	// Replicas is the N of the cluster.
	Replicas int
	// Dir is the data directory.
	Dir string
}

// Figures are the figures of a node that INFO shows.
type Figures struct {
	// Members counts the nodes of the cluster that are up.
	Members int
	// Voters is the fewest voting replicas that any tablet has, as far as the node knows; 0 is unknown.
	Voters int
	// Leads and Holds count the tablets that the node leads, and holds a replica of.
	Leads, Holds int
	// StoreBytes and DiskFree are about the data directory; StoreBytes is what the store occupies.
	StoreBytes, DiskFree uint64
	// MaxMemory is the bound on the memory of caches and queues; 0 is unknown.
	MaxMemory uint64
	// ExpiredKeys counts the keys that the node removed because they had expired.
	ExpiredKeys uint64
	// KeyspaceHits and KeyspaceMisses are the cache's.
	CacheHits, CacheMisses uint64
	// Fault says why the node refuses to serve; empty while it serves.
	Fault string
}
