package registry

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/ring"
)

var testCluster = ident.ClusterID{1, 2, 3}

// joiner is node number n at its given boot.
func joiner(n int, boot uint64) Joiner {
	key := make(ed25519.PublicKey, ed25519.PublicKeySize)
	binary.BigEndian.PutUint64(key, uint64(n))
	host := fmt.Sprintf("10.0.0.%d", n%250+1)
	return Joiner{
		ID: ident.NodeOf(key), Key: key, Weight: 1, Tokens: []uint32{uint32(n % 16), 16, 47}, Boot: boot, Format: 1,
		Addresses: Addresses{RESP: host + ":6379", Peer: host + ":16379"}, Zone: "rack " + host[7:],
	}
}

func admit(n int) Command { return Command{Admit: &Admit{Joiner: joiner(n, 1)}} }

func state(n int, s State) Command {
	return Command{SetState: &SetState{ID: joiner(n, 1).ID, State: s}}
}

func remove(n int) Command { return Command{Remove: &Remove{ID: joiner(n, 1).ID}} }

// newTestRegistry returns a cluster of nodes 1 to n, all of them up.
func newTestRegistry(t rapid.TB, n int) *Registry {
	t.Helper()
	r := &Registry{}
	must(t, r, Command{Init: &Init{Cluster: testCluster, Settings: DefaultSettings(), First: joiner(1, 1)}})
	for i := 2; i <= n; i++ {
		must(t, r, admit(i))
		must(t, r, state(i, Up))
	}
	return r
}

func must(t rapid.TB, r *Registry, c Command) {
	t.Helper()
	if err := r.Apply(c, 1000).Err(); err != nil {
		t.Fatalf("refused: %v", err)
	}
}

// refused checks that the command is refused for the reason given, in words that name it, and changes nothing.
func refused(t *testing.T, r *Registry, c Command, kind Kind, words string) {
	t.Helper()
	before := r.Clone()
	err := r.Apply(c, 2000).Err()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want %v with %q", err, kind, words)
	}
	if !r.Equal(before) {
		t.Errorf("a refused command (%v) changed the registry", err)
	}
}

// A cluster is made once; a second initialisation would give two clusters the same data.
func TestInitOnce(t *testing.T) {
	r := &Registry{}
	refused(t, r, admit(2), ErrNotInitialised, "initialised first")
	refused(t, r, Command{}, ErrInvalid, "exactly one")
	refused(t, r, Command{Init: &Init{Cluster: testCluster, First: joiner(1, 1)}}, ErrInvalid, "replicas 0: want 1 to 7")
	refused(t, r, Command{Init: &Init{Settings: DefaultSettings(), First: joiner(1, 1)}}, ErrInvalid, "cluster id")
	r = newTestRegistry(t, 1)
	refused(t, r, Command{Init: &Init{Cluster: ident.ClusterID{9}, Settings: DefaultSettings(), First: joiner(1, 1)}}, ErrInitialised, testCluster.String())
	if m, ok := r.Member(joiner(1, 1).ID); !ok || m.State != Up || r.Revision() != 1 || r.Ring() != 1 {
		t.Errorf("after Init: %+v, %v, revision %d, ring %d", m, ok, r.Revision(), r.Ring())
	}
}

// Who may not be a member is told why, in words that say what to do.
func TestAdmissionRefuses(t *testing.T) {
	r := newTestRegistry(t, 2)
	for _, c := range []struct {
		bend  func(*Joiner)
		kind  Kind
		words string
	}{
		{func(j *Joiner) { j.ID[0]++ }, ErrOtherKey, "key that it shows"},
		{func(j *Joiner) { j.ID = joiner(2, 1).ID }, ErrOtherKey, "another key is recorded"},
		{func(j *Joiner) { j.Key, j.ID = j.Key[:5], ident.NodeOf(j.Key[:5]) }, ErrInvalid, "key of 5 bytes"},
		{func(j *Joiner) { j.Addresses.Peer = "" }, ErrInvalid, "peer address"},
		{func(j *Joiner) { j.Addresses.HTTP = "nowhere" }, ErrInvalid, "host:port"},
		{func(j *Joiner) { j.Addresses.RESP = strings.Repeat("x", 260) + ":1" }, ErrInvalid, "at most 255"},
		{func(j *Joiner) { j.Zone = "a\x00b" }, ErrInvalid, "printable"},
		{func(j *Joiner) { j.Weight = 0 }, ErrInvalid, "weight 0"},
		{func(j *Joiner) { j.Tokens = nil }, ErrInvalid, "0 tokens"},
		{func(j *Joiner) { j.Tokens = []uint32{16} }, ErrInvalid, "token index 16 at place 0"},
		{func(j *Joiner) { j.Boot = 0 }, ErrInvalid, "boot 0"},
		{func(j *Joiner) { j.Format = 0 }, ErrInvalid, "format 0"},
	} {
		j := joiner(3, 1)
		c.bend(&j)
		refused(t, r, Command{Admit: &Admit{Joiner: j}}, c.kind, c.words)
	}
	refused(t, r, Command{Admit: &Admit{Joiner: joiner(3, 1), Ring: r.Ring() - 1}}, ErrStale, "choose again")
	must(t, r, Command{Admit: &Admit{Joiner: joiner(3, 1), Ring: r.Ring()}})
	if m, _ := r.Member(joiner(3, 1).ID); m.State != Joining || m.Since != 1000 {
		t.Errorf("an admitted node is %v since %d", m.State, m.Since)
	}
}

// A node that was removed must not come back with the memory of replicas that others have replaced.
func TestRemovedStaysRemoved(t *testing.T) {
	r := newTestRegistry(t, 3)
	refused(t, r, remove(3), ErrTransition, "is up")
	must(t, r, state(3, Down))
	must(t, r, remove(3))
	before := r.Clone()
	must(t, r, remove(3)) // a retry
	if !r.Equal(before) {
		t.Error("removing again changed something")
	}
	refused(t, r, admit(3), ErrRemoved, "empty data directory")
	refused(t, r, state(3, Up), ErrRemoved, "removed")
	refused(t, r, remove(4), ErrUnknown, "not a member")
	must(t, r, Command{Remove: &Remove{ID: joiner(2, 1).ID, Force: true}})
	refused(t, r, Command{Remove: &Remove{ID: joiner(1, 1).ID, Force: true}}, ErrLast, "last member")
	if _, err := r.Find(joiner(3, 1).ID.String()[:8]); !errors.Is(err, ErrRemoved) {
		t.Errorf("finding a removed node: %v", err)
	}
	// Its tokens are free, and only the last MaxRemoved are remembered.
	for i := 0; len(r.removed) < MaxRemoved; i++ {
		r.removed = append(r.removed, Gone{ID: ident.NodeID{0: 0xff, 14: byte(i >> 8), 15: byte(i)}})
	}
	must(t, r, admit(5))
	must(t, r, remove(5))
	if len(r.removed) != MaxRemoved {
		t.Errorf("%d removed nodes are remembered, want %d", len(r.removed), MaxRemoved)
	}
	if err := r.validate(); err != nil {
		t.Error(err)
	}
}

// A new node takes the place of a dead one: its tokens to the last one, so that what the dead one held goes to it alone.
// Nobody takes the place of one that lives, and no node that has been there for long gives up its own.
func TestReplaceTakesThePlace(t *testing.T) {
	r := newTestRegistry(t, 4)
	id := func(n int) ident.NodeID { return joiner(n, 1).ID }
	replace := func(dead, by int) Command { return Command{Replace: &Replace{Dead: id(dead), By: id(by)}} }
	at := func(n int) (ids []ring.ID) {
		m, ok := r.Member(id(n))
		if !ok {
			t.Fatalf("node %d is no member", n)
		}
		for _, tok := range m.RingTokens() {
			if tok.Node != m.ID {
				t.Errorf("a token of node %d is said to be of %s", n, tok.Node)
			}
			ids = append(ids, tok.ID)
		}
		return ids
	}
	refused(t, r, replace(2, 4), ErrTransition, "is up")
	must(t, r, state(2, Down))
	refused(t, r, replace(2, 1), ErrTransition, "for longer than")
	refused(t, r, replace(2, 9), ErrUnknown, "not a member")
	must(t, r, admit(5))
	refused(t, r, replace(2, 5), ErrTransition, "is joining")
	must(t, r, state(5, Up))
	refused(t, r, replace(2, 2), ErrTransition, "is down")
	place := at(2)
	must(t, r, replace(2, 5))
	if got := at(5); !slices.Equal(got, place) {
		t.Errorf("the new node stands at %v, the dead one stood at %v", got, place)
	}
	if _, gone := r.Removed(id(2)); !gone || r.Ring() != r.Revision() {
		t.Error("the dead one is not removed, or tokens have moved unnoticed")
	}
	refused(t, r, replace(2, 5), ErrRemoved, "for good")
	// Its restart changes nothing about that, and it can be replaced in its turn.
	u := UpdateOf(joiner(5, 7))
	must(t, r, Command{Update: &u})
	must(t, r, admit(6))
	must(t, r, state(6, Up))
	must(t, r, state(5, Down))
	must(t, r, replace(5, 6))
	if got := at(6); !slices.Equal(got, place) {
		t.Errorf("the second new node stands at %v, the first dead one stood at %v", got, place)
	}
	again, err := Decode(r.Encode())
	if err != nil || !again.Equal(r) {
		t.Errorf("does not come back: %v", err)
	}
}

// A restart brings new addresses; a restored copy of a directory, which has an older boot, must not take over.
func TestUpdateRefusesAnOlderBoot(t *testing.T) {
	r := newTestRegistry(t, 2)
	j := joiner(2, 5)
	j.Addresses.Peer, j.Zone = "192.168.0.7:16379", "moved"
	u := UpdateOf(j)
	must(t, r, Command{Update: &u})
	m, _ := r.Member(j.ID)
	if m.Addresses != j.Addresses || m.Zone != "moved" || m.Boot != 5 || m.State != Up {
		t.Errorf("after the update: %+v", m)
	}
	revision := r.Revision()
	must(t, r, Command{Update: &u}) // a retry
	if r.Revision() != revision {
		t.Error("the same update again changed the revision")
	}
	old := UpdateOf(joiner(2, 4))
	refused(t, r, Command{Update: &old}, ErrOldBoot, "boot 4")
	refused(t, r, admit(2), ErrOldBoot, "boot 1")
	refused(t, r, Command{SetState: &SetState{ID: j.ID, State: Down, Boot: 4}}, ErrOldBoot, "boot 4")
	must(t, r, Command{SetState: &SetState{ID: j.ID, State: Leaving, Boot: 5}})
	refused(t, r, Command{SetState: &SetState{ID: j.ID, State: Removed, Boot: 4}}, ErrOldBoot, "boot 4") // a farewell of before
	other := UpdateOf(joiner(2, 6))
	other.Key = joiner(3, 1).Key
	refused(t, r, Command{Update: &other}, ErrOtherKey, "another key")

	// Admitted again, because the answer was lost: the tokens stay those that are recorded.
	again := joiner(2, 6)
	again.Tokens = []uint32{9}
	must(t, r, Command{Admit: &Admit{Joiner: again, Ring: 1}})
	if m, _ := r.Member(j.ID); !slices.Equal(m.Tokens, joiner(2, 1).Tokens) || m.Boot != 6 {
		t.Errorf("admitted again: tokens %v, boot %d", m.Tokens, m.Boot)
	}
}

// The states follow one another as the package says, and no other way. Only one that is leaving says that it has left: what it
// says may be heard late, when it was called down and holds something again.
func TestTransitions(t *testing.T) {
	for from := Joining; from <= Down; from++ {
		for to := Joining; to <= Removed; to++ {
			r := newTestRegistry(t, 2)
			must(t, r, admit(3))
			i, _ := r.find(joiner(3, 1).ID)
			r.members[i].State = from
			legal := from == to || to == Removed && from == Leaving || slices.Contains(follows[from], to)
			if !legal {
				refused(t, r, state(3, to), ErrTransition, from.String())
				continue
			}
			must(t, r, state(3, to))
			if m, ok := r.Member(joiner(3, 1).ID); ok == (to == Removed) || ok && m.State != to {
				t.Errorf("%v to %v: %v, %v", from, to, m.State, ok)
			}
		}
	}
	refused(t, newTestRegistry(t, 1), state(1, 77), ErrInvalid, "state 77")
}

// Settings change together or not at all; what a running cluster cannot bear is refused.
func TestChange(t *testing.T) {
	r := newTestRegistry(t, 2)
	five, eight, many, two := 5, 8, 2048, uint32(2)
	minute := time.Minute
	must(t, r, Command{Change: &Change{Replicas: &five, ReplaceAfter: &minute}})
	if s := r.Settings(); s.Replicas != 5 || s.ReplaceAfter != minute || s.Tablets != 1024 {
		t.Errorf("settings %+v", s)
	}
	refused(t, r, Command{Change: &Change{Replicas: &eight}}, ErrInvalid, "replicas 8: want 1 to 7")
	refused(t, r, Command{Change: &Change{Tablets: &many}}, ErrFixed, "made with 1024")
	refused(t, r, Command{Change: &Change{Format: &two}}, ErrFormat, "want at most 1")
	for n := 1; n <= 2; n++ {
		j := joiner(n, 2)
		j.Format = 3
		u := UpdateOf(j)
		must(t, r, Command{Update: &u})
	}
	must(t, r, Command{Change: &Change{Format: &two}})
	refused(t, r, admit(3), ErrFormat, "newer version")
	one := uint32(1)
	refused(t, r, Command{Change: &Change{Format: &one}}, ErrFixed, "2 is in use")
}

// Past its bounds the registry refuses, so that its encoding always fits.
func TestBounds(t *testing.T) {
	r := newTestRegistry(t, 1)
	long := func(n int) Joiner {
		j := joiner(n, 1)
		host := strings.Repeat(`"`, MaxAddress-6) + ":65535"
		j.Addresses = Addresses{host, host, host, host}
		j.Zone = strings.Repeat(`\`, MaxZone)
		j.Tokens = make([]uint32, MaxTokens/MaxMembers)
		for k := range j.Tokens {
			j.Tokens[k] = uint32(k*placement.Candidates + 15)
		}
		return j
	}
	for i := 2; i <= MaxMembers; i++ {
		j := long(i)
		if refusal := checkJoiner(&j, r.settings); refusal != nil {
			t.Fatal(refusal)
		}
		r.insert(Member{Joiner: j, State: Joining, Place: j.Key})
	}
	refused(t, r, admit(MaxMembers+1), ErrTooMany, "1024 members")
	for i := range MaxRemoved {
		r.removed = append(r.removed, Gone{ID: ident.NodeID{0: 0xff, 14: byte(i >> 8), 15: byte(i)}, Since: 1 << 50})
	}
	if b := r.Encode(); len(b) > MaxEncoded {
		t.Errorf("the largest registry takes %d bytes, want at most %d", len(b), MaxEncoded)
	} else if _, err := Decode(b); err != nil {
		t.Error(err)
	}
	big := withKey(long(1), MaxMembers+2)
	big.Tokens = make([]uint32, placement.MaxTokens)
	for k := range big.Tokens {
		big.Tokens[k] = uint32(k*placement.Candidates + 15)
	}
	if _, err := (Command{Admit: &Admit{Joiner: big}}).Encode(); err != nil {
		t.Errorf("the largest admission: %v", err)
	}
	// The bound of all tokens comes before that of members.
	r.members = slices.Delete(r.members, 0, 1)
	refused(t, r, Command{Admit: &Admit{Joiner: big}}, ErrTooMany, "tokens")
}

func withKey(j Joiner, n int) Joiner {
	o := joiner(n, 1)
	j.ID, j.Key = o.ID, o.Key
	return j
}

// Two tokens at one place would make the ring's order depend on who looks.
func TestMeet(t *testing.T) {
	a, b := placement.Tokens(joiner(1, 1).Key, []uint32{1, 2}), placement.Tokens(joiner(2, 1).Key, []uint32{1, 2})
	if got, taken := meet(a, b); taken {
		t.Errorf("tokens of two keys met at %v", got)
	}
	same := ring.Token{ID: a[1].ID, Node: b[0].Node}
	if got, taken := meet(a, append(b, same)); !taken || got != a[1] {
		t.Errorf("got %v, %v, want %v", got, taken, a[1])
	}
}

// A person names a node by its first digits; a wrong node removed is a node lost.
func TestFind(t *testing.T) {
	r := newTestRegistry(t, 40)
	for _, m := range r.Members() {
		got, err := r.Find(strings.ToUpper(m.ID.String()))
		if err != nil || got.ID != m.ID {
			t.Fatalf("Find(%s) = %s, %v", m.ID, got.ID, err)
		}
		for _, p := range []string{m.ID.String()[:1], m.ID.Short()} {
			n := 0
			for _, o := range r.Members() {
				if strings.HasPrefix(o.ID.String(), p) {
					n++
				}
			}
			got, err := r.Find(p)
			if n == 1 && (err != nil || got.ID != m.ID) || n > 1 && !errors.Is(err, ErrAmbiguous) {
				t.Errorf("Find(%s) = %s, %v; %d members begin so", p, got.ID, err, n)
			}
		}
	}
	for p, kind := range map[string]Kind{"": ErrInvalid, "xyz": ErrInvalid, strings.Repeat("0", 33): ErrInvalid, strings.Repeat("0", 32): ErrUnknown} {
		if _, err := r.Find(p); !errors.Is(err, kind) {
			t.Errorf("Find(%q): %v, want %v", p, err, kind)
		}
	}
}

// newTestCommand draws a command that may or may not be legal for a cluster of a few nodes.
func newTestCommand(t *rapid.T) Command {
	n := rapid.IntRange(1, 6).Draw(t, "node")
	j := joiner(n, rapid.Uint64Range(0, 4).Draw(t, "boot"))
	j.Zone = rapid.SampledFrom([]string{"", "a", "b", "<&>", "\xff"}).Draw(t, "zone")
	j.Format = rapid.Uint32Range(0, 3).Draw(t, "format")
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0:
		return Command{Init: &Init{Cluster: testCluster, Settings: DefaultSettings(), First: j}}
	case 1, 2:
		return Command{Admit: &Admit{Joiner: j, Ring: rapid.Uint64Range(0, 9).Draw(t, "ring")}}
	case 3:
		u := UpdateOf(j)
		return Command{Update: &u}
	case 4:
		return Command{Remove: &Remove{ID: j.ID, Force: rapid.Bool().Draw(t, "force")}}
	case 5:
		replicas, format := rapid.IntRange(0, 8).Draw(t, "replicas"), j.Format
		return Command{Change: &Change{Replicas: &replicas, Format: &format}}
	case 6:
		return Command{Replace: &Replace{Dead: j.ID, By: joiner(rapid.IntRange(1, 6).Draw(t, "by"), 1).ID}}
	default:
		return Command{SetState: &SetState{ID: j.ID, State: State(rapid.IntRange(0, 6).Draw(t, "state")), Boot: j.Boot}}
	}
}

// Whatever is asked, replicas agree: applying the same commands, and applying them after a snapshot in between,
// comes to the same bytes; refusals change nothing; the invariants hold; revisions only rise.
func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := &Registry{}, &Registry{}
		for range rapid.IntRange(1, 40).Draw(t, "commands") {
			c := newTestCommand(t)
			at := rapid.Int64Range(-5, 1<<45).Draw(t, "at")
			before := a.Clone()
			got := a.Apply(c, at)
			switch same := a.Equal(before); {
			case got.Refusal != nil && !same:
				t.Fatalf("refused (%v) and changed", got.Refusal)
			case same != (got.Revision == before.Revision()):
				t.Fatalf("revision %d -> %d, same: %v", before.Revision(), got.Revision, same)
			case got.Revision < before.Revision():
				t.Fatalf("revision fell from %d to %d", before.Revision(), got.Revision)
			}
			if err := a.validate(); err != nil {
				t.Fatalf("after %+v: %v", c, err)
			}
			// The other replica reads the command from its log, where it can be written at all.
			if enc, err := c.Encode(); err == nil {
				if c, err = DecodeCommand(enc); err != nil {
					t.Fatalf("command does not come back: %v", err)
				}
			} else if got.Refusal == nil {
				t.Fatalf("accepted a command that cannot be written: %v", err)
			}
			if rapid.Bool().Draw(t, "snapshot") {
				restored, err := Decode(b.Encode())
				if err != nil {
					t.Fatalf("registry does not come back: %v", err)
				}
				b = restored
			}
			b.Apply(c, at)
			if x, y := string(a.Encode()), string(b.Encode()); x != y {
				t.Fatalf("replicas differ:\n%s\n%s", x, y)
			}
		}
	})
}

// The bytes are on disks and go between versions: they may only change together with the format's number.
func TestFormatStays(t *testing.T) {
	r := newTestRegistry(t, 1)
	const want = `{"format":2,"cluster":"01020300000000000000000000000000","revision":1,"ring":1,"settings":{"replicas":3,"tablets":1024,"replace_after":300000000000,"format":1},"members":[{"id":"IDHEX","key":"AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","addresses":{"resp":"10.0.0.2:6379","peer":"10.0.0.2:16379"},"zone":"rack 2","weight":1,"tokens":[1,16,47],"boot":1,"format":1,"state":"up","since":1000,"admitted":1}],"removed":[]}`
	if got := string(r.Encode()); got != strings.Replace(want, "IDHEX", joiner(1, 1).ID.String(), 1) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	old := strings.NewReplacer("IDHEX", joiner(1, 1).ID.String(), `{"format":2,`, `{"format":1,`, `,"admitted":1`, "").Replace(want)
	if was, err := Decode([]byte(old)); err != nil || was.Members()[0].Admitted != 0 {
		t.Errorf("a registry of format 1: %v", err)
	}
	b, err := remove(1).Encode()
	if err != nil || string(b) != `{"format":2,"remove":{"id":"`+joiner(1, 1).ID.String()+`"}}` {
		t.Errorf("command: %s, %v", b, err)
	}
}

// A damaged or newer registry is refused with a reason, not half understood.
func TestDecodeRefuses(t *testing.T) {
	good := string(newTestRegistry(t, 2).Encode())
	for _, c := range []struct{ from, to, words string }{
		{`{"format":2,"cl`, `{"format":3,"cl`, "this version reads 1 to 2"},
		{`"revision"`, `"surprise":1,"revision"`, "unknown field"},
		{`"removed":[]}`, `"removed":[]}{}`, ""},
		{`"state":"up"`, `"state":"asleep"`, "want one of joining"},
		{`"state":"up"`, `"state":"removed"`, "removed since"},
		{`"replicas":3`, `"replicas":9`, "replicas 9"},
		{`"cluster":"0102`, `"cluster":"zz02`, "cluster id"},
		{`"since":1000`, `"since":-1`, "since -1"},
		{`"ring":2`, `"ring":20`, "ring of revision 20"},
	} {
		bad := strings.Replace(good, c.from, c.to, 1)
		if bad == good {
			t.Fatalf("%s is not in %s", c.from, good)
		}
		if _, err := Decode([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want %q", c.to, err, c.words)
		}
	}
	if _, err := Decode(make([]byte, MaxEncoded+1)); err == nil {
		t.Error("a registry past the bound was read")
	}
	if _, err := DecodeCommand(make([]byte, MaxCommand+1)); err == nil {
		t.Error("a command past the bound was read")
	}
}

// Bytes from a peer or a disk never crash a node, and what is accepted is written back the same.
func FuzzDecode(f *testing.F) {
	f.Add((&Registry{}).Encode())
	r := newTestRegistry(f, 3)
	f.Add(r.Encode())
	r.Apply(state(3, Down), 5)
	r.Apply(remove(3), 6)
	f.Add(r.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(r.Encode())
		if err != nil || !again.Equal(r) {
			t.Fatalf("does not come back: %v\n%s\n%s", err, b, r.Encode())
		}
	})
}

// The same for commands; and none crashes the registry that it is applied to.
func FuzzDecodeCommand(f *testing.F) {
	five := 5
	u := UpdateOf(joiner(2, 2))
	for _, c := range []Command{
		{Init: &Init{Cluster: testCluster, Settings: DefaultSettings(), First: joiner(1, 1)}},
		admit(2), remove(2), state(2, Leaving),
		{Update: &u},
		{Change: &Change{Replicas: &five}},
	} {
		b, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCommand(b)
		if err != nil {
			return
		}
		for _, r := range []*Registry{{}, newTestRegistry(t, 2)} {
			if got := r.Apply(c, 1); got.Refusal == nil {
				if _, err := Decode(r.Encode()); err != nil {
					t.Fatalf("%s leaves a registry that does not come back: %v", b, err)
				}
			}
		}
	})
}
