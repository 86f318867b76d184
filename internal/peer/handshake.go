package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// duplicateError ends a handshake that found another connection to the same node.
type duplicateError struct{ id ident.NodeID }

func (e *duplicateError) Error() string {
	return "another connection to node " + e.id.Short() + " serves"
}

// handshake makes a connection of nc and starts to serve it, or closes nc and says why not. want is the node that
// is expected, zero for any. This is the one place where a net.Conn enters the package's care, so what has to be
// wrapped around it belongs here.
func (t *Transport) handshake(ctx context.Context, nc net.Conn, as role, want ident.NodeID) (*conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() }) // the reads and writes below say what happened
	c, err := t.shake(nc, as, want)
	stopped := stop()
	if err != nil {
		_ = nc.Close() // err is what matters
		return nil, err
	}
	if !stopped {
		c.close(context.Cause(ctx))
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		c.close(fmt.Errorf("lift deadline: %w", err))
	}
	t.wg.Go(c.serve)
	return c, nil
}

// shake is the conversation: greetings, proofs, verdicts. Only one side speaks at a time. A connection that it
// returns must be served.
func (t *Transport) shake(nc net.Conn, as role, want ident.NodeID) (*conn, error) {
	if err := nc.SetDeadline(time.Now().Add(t.cfg.HandshakeTimeout)); err != nil {
		return nil, fmt.Errorf("set deadline: %w", err)
	}
	said := t.cfg.Hello()
	theirs, raw, err := t.greet(nc, as, said)
	if err != nil {
		return nil, err
	}
	id := theirs.id()
	if id == t.id {
		return nil, ErrSelf
	}
	senior := t.id.Compare(id) < 0
	var mine claim
	if senior {
		mine = t.claim(id, theirs.instance)
	}
	claimed, err := t.prove(nc, as, mine, raw, theirs.key[:])
	if err != nil {
		return nil, err
	}
	c := newConn(t, nc, Peer{
		ID: id, Key: theirs.key[:], Hello: theirs.hello,
		Remote: nc.RemoteAddr().String(), Dialled: as == dialler,
	}, theirs.instance)
	refusal := t.judge(c, said, want)
	if senior {
		err = t.choose(c, refusal)
	} else {
		err = t.offer(c, claimed, refusal)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// greet exchanges greetings; the dialler speaks first, so that a stranger learns nothing from a node it merely
// connects to.
func (t *Transport) greet(nc net.Conn, as role, hello Hello) (theirs greeting, raw greetings, err error) {
	mine := greeting{instance: t.instance, hello: hello}
	if len(mine.hello.Address) > addressMax {
		return theirs, raw, fmt.Errorf("address %q has %d bytes, at most %d are allowed",
			mine.hello.Address, len(mine.hello.Address), addressMax)
	}
	rand.Read(mine.nonce[:]) // never fails: it ends the program instead
	copy(mine.key[:], t.key)
	raw[as] = mine.encode()
	err = inTurn(as,
		func() error { return say(nc, raw[as]) },
		func() error { raw[as.other()], err = readGreeting(nc); return err })
	if err != nil {
		return theirs, raw, err
	}
	theirs, err = decodeGreeting(raw[as.other()])
	return theirs, raw, err
}

// prove exchanges proofs and verifies the other side's. The acceptor proves itself only to who has done so.
func (t *Transport) prove(nc net.Conn, as role, mine claim, raw greetings, key ed25519.PublicKey) (claim, error) {
	var theirs proof
	err := inTurn(as,
		func() error {
			p := proof{claim: mine}
			copy(p.signature[:], ed25519.Sign(t.cfg.Identity, transcript(as, mine, raw)))
			return say(nc, p.encode())
		},
		func() (err error) {
			if theirs, err = readProof(nc); err != nil {
				return err
			}
			signed := transcript(as.other(), theirs.claim, raw)
			if !ed25519.Verify(key, signed, theirs.signature[:]) {
				return fmt.Errorf("%w: the signature is not by the key in the greeting", ErrHandshake)
			}
			return nil
		})
	return theirs.claim, err
}

// judge says why this node does not want the connection, or nil. It settles the protocol version.
func (t *Transport) judge(c *conn, mine Hello, want ident.NodeID) error {
	if !want.IsZero() && c.peer.ID != want {
		return fmt.Errorf("this address was to be that of node %s, and is that of node %s", want, c.peer.ID)
	}
	var err error
	if c.peer.Protocol, err = CommonProtocol(mine, c.peer.Hello); err != nil {
		return err
	}
	return t.cfg.Check(c.peer.Hello, c.peer.ID)
}

// choose is the last part of the handshake on the senior's side: it hears the junior and decides.
func (t *Transport) choose(c *conn, refusal error) error {
	theirs, err := readVerdict(c.nc)
	if err != nil {
		return err
	}
	mine := verdict{code: accepted}
	switch {
	case refusal != nil:
		mine = verdict{code: refused, reason: refusal.Error()}
	case theirs.code == accepted:
		mine = t.install(c, theirs.ticket)
	}
	installed := theirs.code == accepted && mine.code == accepted
	if err := say(c.nc, mine.encode()); err != nil {
		if !installed {
			return err
		}
		c.close(err)
	}
	if installed {
		return nil
	}
	return c.outcome(mine, theirs, refusal)
}

// offer is the last part of the handshake on the junior's side: it says what it wants and hears the decision.
func (t *Transport) offer(c *conn, senior claim, refusal error) error {
	mine := verdict{code: refused}
	if refusal != nil {
		mine.reason = refusal.Error()
	} else {
		mine = t.admit(c, senior)
	}
	err := say(c.nc, mine.encode())
	var theirs verdict
	if err == nil {
		theirs, err = readVerdict(c.nc)
	}
	if err == nil {
		err = c.outcome(mine, theirs, refusal)
	}
	if mine.code != accepted {
		return err
	}
	if err != nil {
		t.withdraw(c, err)
		return err
	}
	t.confirm(c)
	return nil
}

// outcome is what two verdicts come to on this side: nil when both sides accept.
func (c *conn) outcome(mine, theirs verdict, refusal error) error {
	switch {
	case mine.code == refused:
		return &RefusedError{ID: c.peer.ID, Reason: mine.reason, Cause: refusal}
	case theirs.code == refused:
		return &RefusedError{ID: c.peer.ID, ByPeer: true, Reason: theirs.reason}
	case mine.code == duplicate || theirs.code == duplicate:
		return &duplicateError{c.peer.ID}
	}
	return nil
}

// inTurn lets the dialler speak first.
func inTurn(as role, speak, listen func() error) error {
	first, second := speak, listen
	if as == acceptor {
		first, second = listen, speak
	}
	if err := first(); err != nil {
		return err
	}
	return second()
}

func say(nc net.Conn, b []byte) error {
	if _, err := nc.Write(b); err != nil {
		return fmt.Errorf("%w: write: %w", ErrHandshake, err)
	}
	return nil
}
