// Package request is what the front end asks of the node, and how it ends.
//
// A Request is a run of commands on one tablet, all reads or all writes, evaluated in order. The writes of one
// request are one entry of the tablet's log. A request ends exactly once, with one Failure for all of its commands, none
// of which happened (or, where the code says so, it is not known), or with replies: of all commands, or of the first ones,
// at least one, where those took or changed so much that the others were left for another request. They have not
// happened. The package is pure.
package request

import "fmt"

// Command is one command as the client sent it: name and arguments.
type Command [][]byte

// Request is one run of commands on one tablet. The front end fills in the first part and must not touch it, nor
// the bytes that Commands point to, until Owner has been told.
type Request struct {
	Tablet   uint32
	Write    bool
	Commands []Command
	// Owner is told when the request has ended, once, from any goroutine. It must not block.
	Owner Owner

	// Replies holds one reply per command as RESP3 bytes, for the first commands at least; valid when Failure is nil.
	Replies [][]byte
	// Failure says why there are no replies.
	Failure *Failure
}

// Owner waits for requests.
type Owner interface{ Ended(*Request) }

// End sets the outcome and tells the owner.
func (r *Request) End(replies [][]byte, f *Failure) {
	r.Replies, r.Failure = replies, f
	r.Owner.Ended(r)
}

// Code is the first word of an error reply: what a client may conclude from it.
type Code string

// The codes of failures (the page of the interface lists what each means for a retry).
const (
	// TryAgain: certainly nothing was applied; there was no leader yet, or too much to do, until the timeout.
	TryAgain Code = "TRYAGAIN"
	// ClusterDown: certainly nothing was applied; a majority of the tablet's replicas is out of reach.
	ClusterDown Code = "CLUSTERDOWN"
	// Uncertain: a write that may or may not have been applied.
	Uncertain Code = "UNCERTAIN"
	// NoRoom: certainly nothing was applied; the disks of those who would have to keep the write are almost full.
	NoRoom Code = "OOM"
	// Err: the request itself cannot be served.
	Err Code = "ERR"
)

// Failure is the outcome of a request without replies.
type Failure struct {
	Code    Code
	Message string
}

// Error returns the line that a client sees, without the leading '-'.
func (f *Failure) Error() string { return fmt.Sprintf("%s %s", f.Code, f.Message) }
