// Command quord is the one binary of Quord: it runs a node, and it is the client that looks after a ring of them.
//
// One file holds one verb, or a few that are alike; main.go holds what they share: exit codes (0 done, 1 failed, 2
// wrong usage) and the way an error is told. A verb that talks to a node does so as any Redis client would
// (client.go), so whatever it can do, a script with redis-cli can do. Results go to standard output, everything
// else to standard error; --json prints the shapes of package admin, or those that stand beside the verb.
//
// Concurrency: `serve` leaves it to package node, `bench` to package bench; `dev` keeps one goroutine per child to
// wait for it and one or two that copy its output; `leave` asks for progress while it waits. Everything ends with
// the verb.
package main
