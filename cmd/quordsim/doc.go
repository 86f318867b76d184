// Command quordsim runs experiments on the production code without a network, a disk or a clock of its own.
//
// One file holds one verb; main.go holds what they share: exit codes (0 done, 1 failed, 2 wrong usage), the way an
// error is told, and progress. Results go to standard output, everything else to standard error; --json prints the
// shapes that stand beside the verb. Equal seeds give equal results, byte for byte.
//
// Concurrency: a verb runs on one goroutine, unless its file says otherwise.
package main
