package core

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/tablet"
)

// State keys of a node beside its tablets. Both hold an encoded registry and a CRC32C (4 bytes) of the key and of it.
// A node of the system group has two copies, so that damage to one does not keep it from starting.
var (
	registryKey = []byte("r")         // the registry as the system group's state
	cachedKey   = []byte("nregistry") // the newest registry that the node has seen
)

// systemCommand changes the registry; its argument is an encoded registry.Command.
const systemCommand = "_SYSTEM"

// registryMachine is the state behind the system group: the registry. A read returns it encoded.
type registryMachine struct {
	core    *Core
	current *registry.Registry
}

// Apply implements tablet.Machine.
func (s *registryMachine) Apply(m *tablet.Moment, commands []request.Command) [][]byte {
	replies := make([][]byte, len(commands))
	next := s.current.Clone()
	for i, c := range commands {
		var res registry.Result
		if len(c) != 2 {
			res.Refusal = &registry.Error{Kind: registry.ErrInvalid, Text: "a command of the system group has one argument"}
		} else if cmd, err := registry.DecodeCommand(c[1]); err != nil {
			res.Refusal = &registry.Error{Kind: registry.ErrInvalid, Text: err.Error()}
		} else {
			res = next.Apply(cmd, m.Time)
		}
		replies[i], _ = json.Marshal(res) // two plain structs: it cannot fail
	}
	if next.Revision() != s.current.Revision() {
		s.current = next
		m.Tx.Set(registryKey, tablet.Seal(registryKey, next.Encode()))
		s.core.adoptRegistry(next)
	}
	return replies
}

// Damage implements tablet.Machine; no change reads what is stored.
func (s *registryMachine) Damage(kv.Reader, []request.Command) error { return nil }

// Expire implements tablet.Machine; nothing in a registry expires.
func (s *registryMachine) Expire(*tablet.Moment, [][]byte) int { return 0 }

// Read implements tablet.Machine.
func (s *registryMachine) Read(_ *tablet.Reading, commands []request.Command, replies [][]byte) (out, expired [][]byte) {
	for range commands {
		replies = append(replies, s.current.Encode())
	}
	return replies, nil
}

// Overdue implements tablet.Machine.
func (s *registryMachine) Overdue(*tablet.Reading, int) (keys [][]byte, next int64, err error) {
	return nil, 0, nil
}

// Ranges implements tablet.Machine.
func (s *registryMachine) Ranges() [][2][]byte {
	return [][2][]byte{{registryKey, append(append([]byte(nil), registryKey...), 0)}}
}

// Installed implements tablet.Machine.
func (s *registryMachine) Installed(r kv.Reader) error {
	reg, err := readRegistry(r, registryKey)
	if err != nil {
		return err
	}
	if reg == nil {
		reg = &registry.Registry{}
	}
	s.current = reg
	s.core.adoptRegistry(reg)
	return nil
}

func readRegistry(r kv.Reader, key []byte) (*registry.Registry, error) {
	b, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil //nolint:nilnil // no registry is an ordinary answer
	}
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	if b, err = tablet.Unseal(key, b); err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	reg, err := registry.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	return reg, nil
}

// loadRegistry returns the newest registry that the store holds and that can be read, nil where it holds none. One that
// is damaged is not taken for none: a node that forgot its cluster might make another one.
func loadRegistry(r kv.Reader) (*registry.Registry, error) {
	own, err := readRegistry(r, registryKey)
	if err != nil && !tablet.Damaged(err) {
		return nil, err
	}
	cached, cachedErr := readRegistry(r, cachedKey)
	if cachedErr != nil && !tablet.Damaged(cachedErr) {
		return nil, cachedErr
	}
	if err = errors.Join(err, cachedErr); err != nil && own == nil && cached == nil {
		return nil, fmt.Errorf("this node no longer knows its cluster: %w", err)
	}
	if own == nil || cached != nil && cached.Revision() > own.Revision() {
		return cached, nil
	}
	return own, nil
}

// ClusterOf returns the cluster that the node of this store belongs to, if it has learned of one.
func ClusterOf(r kv.Reader) (ident.ClusterID, bool, error) {
	reg, err := loadRegistry(r)
	switch {
	case tablet.Damaged(err):
		return ident.ClusterID{}, false, fmt.Errorf("%w; start it with --join and the address of another member, which it asks, or replace it by a new node", err)
	case err != nil || reg == nil:
		return ident.ClusterID{}, false, err
	}
	return reg.Cluster(), true, nil
}

// Found returns the Write that makes a cluster whose first and only member is this node: its registry, and all its
// groups, once, ever.
func Found(cluster ident.ClusterID, settings registry.Settings, first registry.Joiner, wall int64) (*kv.Write, error) {
	reg := &registry.Registry{}
	res := reg.Apply(registry.Command{Init: &registry.Init{Cluster: cluster, Settings: settings, First: first}}, wall)
	if err := res.Err(); err != nil {
		return nil, fmt.Errorf("make a cluster: %w", err)
	}
	w := &kv.Write{State: []kv.Op{
		{Kind: kv.Set, Key: registryKey, Value: tablet.Seal(registryKey, reg.Encode())},
		{Kind: kv.Set, Key: cachedKey, Value: tablet.Seal(cachedKey, reg.Encode())},
	}}
	birth := func(t uint32) {
		b := tablet.Birth(t, first.ID, wall)
		w.Log, w.State = append(w.Log, b.Log...), append(w.State, b.State...)
	}
	birth(System)
	for t := range settings.Tablets {
		birth(uint32(t))
	}
	return w, nil
}

// systemCall is a change of the registry on its way.
type systemCall struct{ done func(error) }

// Ended implements request.Owner.
func (s *systemCall) Ended(r *request.Request) {
	if r.Failure != nil {
		s.done(r.Failure)
		return
	}
	var res registry.Result
	if err := json.Unmarshal(r.Replies[0], &res); err != nil {
		s.done(fmt.Errorf("the system group's answer: %w", err))
		return
	}
	s.done(res.Err())
}

// Change asks the system group to change the registry. done is called once, from within a later call of this core.
func (c *Core) Change(cmd registry.Command, done func(error)) {
	b, err := cmd.Encode()
	if err != nil {
		done(err)
		return
	}
	c.submit(&request.Request{
		Tablet: System, Write: true, Commands: []request.Command{{[]byte(systemCommand), b}}, Owner: &systemCall{done},
	})
}
