package bench

import (
	"math/rand/v2"
	"strconv"
)

// keySize is the length of every key: "key:" and twelve digits, as redis-benchmark writes them.
const keySize = 16

// zipfExponent is just above 1, the least that the sampler takes; YCSB's 0.99 is hardly different.
const zipfExponent = 1.01

// op is one operation.
type op struct {
	set bool
	key uint64
}

// workload is a stream of operations: pure, seeded, for one goroutine.
type workload struct {
	rng        *rand.Rand
	zipf       *rand.Zipf // nil when uniform
	keys       uint64
	gets, sets int
	minSize    int
	maxSize    int
	// noise holds random bytes that values are cut from; shared by all workloads and never written.
	noise []byte
}

func newWorkload(c Config, stream uint64, noise []byte) *workload {
	w := &workload{
		rng:  rand.New(rand.NewPCG(c.Seed, stream)),
		keys: c.Keys, gets: c.Gets, sets: c.Sets, minSize: c.MinSize, maxSize: c.MaxSize, noise: noise,
	}
	if c.Distribution == Zipf {
		w.zipf = rand.NewZipf(w.rng, zipfExponent, 1, c.Keys-1)
	}
	return w
}

// newNoise returns bytes to cut values from, longer than any of them so that equal sizes make different values.
func newNoise(c Config) []byte {
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	b := make([]byte, c.MaxSize+4096)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// next draws an operation.
func (w *workload) next() op {
	o := op{set: w.gets == 0 || w.sets > 0 && w.rng.IntN(w.gets+w.sets) >= w.gets}
	if w.zipf != nil {
		o.key = scatter(w.zipf.Uint64(), w.keys)
	} else {
		o.key = w.rng.Uint64N(w.keys)
	}
	return o
}

// scatter spreads neighbours over [0, keys): else the popular keys would be neighbours, which some servers like. Two
// ranks may share a key; that a key is a little more popular for it does not change what is measured.
func scatter(rank, keys uint64) uint64 {
	h := rank * 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 32
	return h % keys
}

// value draws a value; the caller must not write to it.
func (w *workload) value() []byte {
	n := w.minSize
	if w.maxSize > w.minSize {
		n += w.rng.IntN(w.maxSize - w.minSize + 1)
	}
	at := w.rng.IntN(len(w.noise) - n + 1)
	return w.noise[at : at+n]
}

// appendOp appends the command for o as RESP.
func (w *workload) appendOp(b []byte, o op) []byte {
	if !o.set {
		b = append(b, "*2\r\n$3\r\nGET\r\n"...)
		return appendKey(b, o.key)
	}
	b = append(b, "*3\r\n$3\r\nSET\r\n"...)
	b = appendKey(b, o.key)
	return appendBulk(b, w.value())
}

func appendKey(b []byte, key uint64) []byte {
	b = append(b, "$16\r\nkey:000000000000\r\n"...)
	digits := b[len(b)-2-(keySize-4) : len(b)-2]
	for i := len(digits) - 1; key > 0 && i >= 0; i-- {
		digits[i] = byte('0' + key%10)
		key /= 10
	}
	return b
}

func appendBulk(b, value []byte) []byte {
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(len(value)), 10)
	b = append(b, '\r', '\n')
	b = append(b, value...)
	return append(b, '\r', '\n')
}
