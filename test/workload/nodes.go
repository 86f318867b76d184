package workload

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// replyTimeout is how long a client waits for a reply: well beyond the time for which a node holds a request.
const replyTimeout = 20 * time.Second

// NewClient returns a client of one node that sends each command once: the workloads themselves decide what may be
// sent again.
func NewClient(addr string, connections int) *redis.Client {
	return newClient(addr, connections, replyTimeout)
}

func newClient(addr string, connections int, reply time.Duration) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: addr, Protocol: 3, PoolSize: connections, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: time.Second, ReadTimeout: reply, WriteTimeout: reply, PoolTimeout: reply,
	})
}

// Nodes is the set of nodes that a workload goes through, one client each. It may change while the workload runs.
type Nodes struct {
	reply time.Duration

	mu      sync.RWMutex
	clients map[string]*redis.Client // guarded by mu
	addrs   []string                 // guarded by mu; the keys of clients
}

// NewNodes returns the set of these addresses.
func NewNodes(addrs ...string) *Nodes { return NewNodesWithin(replyTimeout, addrs...) }

// NewNodesWithin is NewNodes with clients that wait for a reply no longer than told; what is not answered by then is
// unknown.
func NewNodesWithin(reply time.Duration, addrs ...string) *Nodes {
	n := &Nodes{reply: reply, clients: map[string]*redis.Client{}}
	for _, addr := range addrs {
		n.Add(addr)
	}
	return n
}

// Add adds a node; one that is there already stays as it is.
func (n *Nodes) Add(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.clients[addr] == nil {
		n.clients[addr] = newClient(addr, 32, n.reply)
		n.addrs = append(n.addrs, addr)
	}
}

// Remove makes the workload stop going through a node. Commands on their way through it end as unknown.
func (n *Nodes) Remove(addr string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	client := n.clients[addr]
	if client == nil {
		return nil
	}
	delete(n.clients, addr)
	for i := range n.addrs {
		if n.addrs[i] == addr {
			n.addrs = append(n.addrs[:i], n.addrs[i+1:]...)
			break
		}
	}
	return client.Close()
}

// Random returns the client of one of the nodes.
func (n *Nodes) Random() *redis.Client {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.clients[n.addrs[rand.IntN(len(n.addrs))]]
}

// At returns the client of the node at a place, counted round and round, and its address.
func (n *Nodes) At(place int) (client *redis.Client, addr string) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	addr = n.addrs[place%len(n.addrs)]
	return n.clients[addr], addr
}

// Close closes all clients.
func (n *Nodes) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, client := range n.clients {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}
