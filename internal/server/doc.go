// Package server is the face of a node towards Redis clients: it listens, keeps sessions, and turns what clients
// send into requests on tablets and answers into replies.
//
// It owns the sessions and everything that is about a connection: authentication, names, the protocol's version,
// limits, pipelines, the order of replies. It carries out the commands that command.Spec places at the Session or the
// Cluster, and cuts up the commands of tablets. It refuses to know where a tablet lies, how a write is agreed on, and
// what a command means; that is behind Backend, which the node implements.
//
// # The way of a batch
//
// A session reads once and takes all commands that are complete, up to MaxBatch commands or MaxBatchBytes: the batch.
// Consecutive commands of the batch on one tablet, all reads or all writes, form a run, which is one request.Request. A
// tablet's runs are executed one after the other, runs of different tablets side by side: the first run of every tablet
// is the first wave, and so on. A read is offered to Backend.TryRead, which may answer it on the spot; all that is left
// of a wave goes into one Backend.Submit, and the session waits once for all of it. Then the replies are put into the
// order of the commands and written at once.
// A request may end with the answers to its first commands only, where those are long or changed much; the session asks for
// the others before the tablet's next run, or, when it holds many replies already, once those have been written. Nor does it
// submit more than firstLot requests at once before it knows how long their replies are.
//
// A command about the whole keyspace (DBSIZE, SCAN, KEYS, FLUSHALL) and every other one that the Cluster carries out
// waits for what came before it in the pipeline and is done before what follows.
//
// # Invariants
//
//   - Replies come in the order of the commands. Two commands of one connection on one tablet are executed in their
//     order; the second sees the first. Across tablets nothing is promised.
//   - Of a command that is split over tablets each part is atomic. When only some parts of a write are known to have
//     been applied the answer is UNCERTAIN; it is TRYAGAIN or CLUSTERDOWN only when certainly none was.
//   - A Request and the bytes of its Commands stay as they are from Submit until Ended; when it has ended with replies
//     the session uses them again, so the Backend keeps no reference to either. What ended with a Failure is never
//     used again: at a timeout it may still stand in a queue of the node.
//   - A connection can hold no one up but itself. It has one goroutine; its input, its output and its batch are
//     bounded (Config says by what); a client that does not take its replies for WriteTimeout is dropped.
//
// # Concurrency
//
// Serve runs on its caller's goroutine. Each session has one goroutine, which Close waits for. One more goroutine at
// most counts the keys for INFO. Lock order: keyCount.mu, Server.mu, session.mu; no lock is held over a call of Backend.
package server
