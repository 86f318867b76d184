// Package ring is Chord as a value, with the corrections that Zave proved necessary.
package ring
