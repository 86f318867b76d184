// Command chaos starts a ring of real processes, lets several clients use it, harms it in every way it knows, and judges
// what the clients saw. `make chaos ARGS='--duration 10m --seed 7'` runs it; `make test` runs it for four minutes.
//
// A run is a sequence of rounds. Each round has a seed of its own, from which everything is drawn that the driver
// decides: the size of the ring and its settings, the order of the faults, their victims and their lengths. Processes,
// kernels and clocks are not drawn, so a seed repeats the plan of a round and not its every moment. A round deals a
// deck: each kind of fault once, shuffled, and again until the time is over. Now and then two happen at once.
//
// The workloads are those of package workload: registers and counters whose histories porcupine judges key by key,
// counters with a sum, a ledger of keys written once, and probes that are written again and again, from which it is
// told for how long which keys could not be written. What is wrong, whatever happened:
//
//   - a history that is not linearizable, or that cannot be judged in time;
//   - an acknowledged write that is not there at the end, at any of the nodes asked;
//   - two replicas of a tablet whose state differs by a byte although they have applied the same entries;
//   - a reply that the command should never get;
//   - a process that ended by itself, or a log that tells of a panic or a race;
//   - a ring that is not healthy again within a minute after the last harm was undone;
//   - a verb (leave, replace, remove) that failed although what it needs was there.
//
// A process that ends by itself ends the round at once (vigil.go); what was seen until then is judged.
//
// A round that went wrong keeps its directory: the data and logs of the nodes, the timeline (timeline.txt), the history of
// every key (history.txt), and of those that are wrong a picture and a text (history.html, history.html.txt).
//
// Concurrency: faults that run at once claim different nodes; round.mu guards the processes' state, which Node does
// not guard itself.
package main
