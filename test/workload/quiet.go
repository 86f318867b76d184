package workload

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Quiet keeps go-redis from writing a line for each connection that it cannot make, of which a dead node causes
// thousands. It concerns all clients of the process.
func Quiet() { redis.SetLogger(discard{}) }

type discard struct{}

func (discard) Printf(context.Context, string, ...any) {}
