package registry

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/quorddb/quord/internal/ident"
)

// Bounds of the encodings, in bytes.
const (
	MaxEncoded = 8 << 20
	MaxCommand = 64 << 10
)

// format is the number that stands in every encoding. Those from 1 up are read, newer ones refused.
const format = 2

// encoded is the registry as it is written.
type encoded struct {
	Format   int             `json:"format"`
	Cluster  ident.ClusterID `json:"cluster"`
	Revision uint64          `json:"revision"`
	Ring     uint64          `json:"ring"`
	Settings Settings        `json:"settings"`
	Members  []Member        `json:"members"`
	Removed  []Gone          `json:"removed"`
}

// encodedCommand is a command as it is written.
type encodedCommand struct {
	Format int `json:"format"`
	Command
}

// Encode returns the registry as bytes. Equal registries have equal bytes.
func (r *Registry) Encode() []byte {
	e := encoded{format, r.cluster, r.revision, r.ring, r.settings, r.members, r.removed}
	if e.Members == nil {
		e.Members = []Member{}
	}
	if e.Removed == nil {
		e.Removed = []Gone{}
	}
	// Invariant: what Apply and Decode let in can be written as JSON.
	b, err := marshal(e)
	if err != nil {
		panic(fmt.Sprintf("registry: encode: %v", err))
	}
	return b
}

// Decode reads what Encode wrote. It refuses what no sequence of commands could have made.
func Decode(b []byte) (*Registry, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("decode registry: %d bytes: want at most %d", len(b), MaxEncoded)
	}
	var e encoded
	if err := unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("decode registry: %w", err)
	}
	r := &Registry{e.Cluster, e.Revision, e.Ring, e.Settings, e.Members, e.Removed}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("decode registry: %w", err)
	}
	return r, nil
}

// Encode returns the command as bytes, or says that it cannot be one.
func (c Command) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	b, err := marshal(encodedCommand{format, c})
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	if len(b) > MaxCommand {
		return nil, fmt.Errorf("encode command: %d bytes: want at most %d", len(b), MaxCommand)
	}
	return b, nil
}

// DecodeCommand reads what Command.Encode wrote. Whether its values are possible is for Apply to say.
func DecodeCommand(b []byte) (Command, error) {
	if len(b) > MaxCommand {
		return Command{}, fmt.Errorf("decode command: %d bytes: want at most %d", len(b), MaxCommand)
	}
	var e encodedCommand
	if err := unmarshal(b, &e); err != nil {
		return Command{}, fmt.Errorf("decode command: %w", err)
	}
	if err := e.check(); err != nil {
		return Command{}, fmt.Errorf("decode command: %w", err)
	}
	return e.Command, nil
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// unmarshal reads one JSON object of our format, without unknown fields and with nothing after it.
func unmarshal(b []byte, into any) error {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return err
	}
	if head.Format < 1 || head.Format > format {
		return fmt.Errorf("format %d: this version reads 1 to %d", head.Format, format)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something follows the object")
	}
	return nil
}

// validate checks the invariants that Apply keeps.
func (r *Registry) validate() error {
	if r.cluster.IsZero() {
		if r.revision != 0 || r.ring != 0 || r.settings != (Settings{}) || len(r.members)+len(r.removed) != 0 {
			return errors.New("members or settings without a cluster")
		}
		return nil
	}
	if err := r.settings.Validate(); err != nil {
		return err
	}
	if len(r.members) < 1 || len(r.members) > MaxMembers || len(r.removed) > MaxRemoved {
		return fmt.Errorf("%d members and %d removed: want 1 to %d, at most %d", len(r.members), len(r.removed), MaxMembers, MaxRemoved)
	}
	if r.ring < 1 || r.ring > r.revision {
		return fmt.Errorf("ring of revision %d at revision %d", r.ring, r.revision)
	}
	tokens := 0
	for i := range r.members {
		m := &r.members[i]
		if i > 0 && r.members[i-1].ID.Compare(m.ID) >= 0 {
			return fmt.Errorf("member %s is out of order", m.ID)
		}
		if refusal := checkJoiner(&m.Joiner, r.settings); refusal != nil {
			return refusal
		}
		if m.State < Joining || m.State >= Removed || m.Since < 0 {
			return fmt.Errorf("member %s: %v since %d", m.ID, m.State, m.Since)
		}
		if m.Admitted > r.ring || len(m.Place) != 0 && len(m.Place) != ed25519.PublicKeySize {
			return fmt.Errorf("member %s: admitted at revision %d, in a place of %d bytes", m.ID, m.Admitted, len(m.Place))
		}
		tokens += len(m.Tokens)
	}
	if tokens > MaxTokens {
		return fmt.Errorf("%d tokens: want at most %d", tokens, MaxTokens)
	}
	seen := make(map[ident.NodeID]bool, len(r.removed))
	for _, g := range r.removed {
		if _, member := r.find(g.ID); member || seen[g.ID] || g.ID.IsZero() || g.Since < 0 {
			return fmt.Errorf("removed node %s: listed twice, still a member, or without a time", g.ID)
		}
		seen[g.ID] = true
	}
	return nil
}
