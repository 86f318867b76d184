package workload

import (
	"errors"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Outcome is what a client knows of a command when it has ended.
type Outcome int

// The outcomes.
const (
	// Done: the command was carried out and its reply is known.
	Done Outcome = iota + 1
	// NotApplied: certainly nothing has happened: the node said so, or it was never reached.
	NotApplied
	// Unknown: the command may or may not have been carried out.
	Unknown
	// Unexpected: a reply that this command should never get.
	Unexpected
)

// OutcomeOf sorts the error of one command that was sent once.
func OutcomeOf(err error) Outcome {
	if err == nil || errors.Is(err, redis.Nil) {
		return Done
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		code, _, _ := strings.Cut(reply.Error(), " ")
		switch code {
		case "TRYAGAIN", "CLUSTERDOWN", "OOM", "LOADING": // the last from a redis-server that begins
			return NotApplied
		case "UNCERTAIN":
			return Unknown
		default:
			return Unexpected
		}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return NotApplied
	}
	return Unknown // the connection broke or fell silent with the command on its way
}
