// Package placement says where tablets and tokens stand on the ring, and which nodes a tablet wishes to lie on.
//
// The slots are cut into T tablets of equal size; tablet t stands at the identifier t * 2^256 / T (equal partitions
// balance best: Dynamo, SOSP 2007, section 6.2, strategy 3). A node stands on the ring at its tokens (Chord's virtual
// nodes, SIGCOMM 2001, section 6.1). The targets of a tablet are the first N distinct nodes clockwise from its
// point, in distinct zones while there are enough. They are a wish, computed from what is known of the ring:
// who holds a tablet is what the tablet's own descriptor says, and nothing here decides it.
//
// Departs from the paper: tokens are not hashes of an address and a number alone. Each is chosen among Candidates
// hashes of the node's public key, so that the load of all nodes becomes even (Choose). A choice is a list of token
// indices, so anybody can recompute the tokens from the key, nobody can pick a place, and at most Candidates hashes
// are tried for each: see ValidIndices.
//
// What holds, and is tested:
//   - A node that joins or leaves changes the targets of only those tablets that it comes to, or ceased, to be a
//     target of, and replaces one target in each.
//   - The result does not depend on the order in which tokens are given.
//   - As many zones as possible are among the targets.
//   - With 64 tokens a node and 64 tablets a node the fullest node holds at most 1.25 times the mean, of
//     first targets and of replicas.
//
// The package is pure. A Map never changes after NewMap and may be shared.
package placement
