package server

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	"github.com/quorddb/quord/internal/resp"
)

// recordConn is a connection whose client sends in once, in pieces, and keeps what it gets.
type recordConn struct {
	scriptConn
	in    []byte
	piece int
	out   bytes.Buffer
}

func (c *recordConn) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in[:min(c.piece, len(c.in))])
	c.in = c.in[n:]
	return n, nil
}

func (c *recordConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// Whatever a client sends, a session must neither panic nor hang, and what it answers must be whole replies.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"SET a 1\r\nINCR a\r\nGET a\r\nHELLO 3\r\nMGET a b c\r\nDBSIZE\r\nSCAN 0\r\nKEYS *\r\n",
		"CLIENT REPLY SKIP\r\nPING\r\nCLIENT LIST\r\nCONFIG GET *\r\nCOMMAND DOCS get\r\nRESET\r\nINFO all\r\n",
		"MSET a 1 b 2 c 3\r\nMSETNX a 1 b 2\r\nDEL a b c\r\nCLIENT KILL ID 1 SKIPME no\r\nQUORD.RING\r\nQUORD.LOOKUP a\r\n",
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000\r\nxx\r\n",
		"HELLO 3 AUTH default x SETNAME a\r\nAUTH x\r\nSELECT 1\r\nWAIT 1 1\r\nCLUSTER KEYSLOT a\r\nQUIT\r\nPING\r\n",
	} {
		f.Add([]byte(s), uint16(7))
		f.Add([]byte(s), uint16(1000))
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint16) {
		cfg := Config{MaxValue: 1000, MaxInput: 1 << 20, MaxOutput: 4000, MaxBatch: 8, Log: slog.New(slog.DiscardHandler)}
		s, err := New(cfg, newFakeNode(t, 4))
		if err != nil {
			t.Fatal(err)
		}
		conn := &recordConn{in: in, piece: int(piece) + 1}
		newSession(s, conn, 1).serve()
		s.running.Wait()
		for out := conn.out.Bytes(); len(out) > 0; {
			if _, out, err = resp.Parse(out); err != nil {
				t.Fatalf("%q was answered %q: %v", in, conn.out.Bytes(), err)
			}
		}
		if n := s.input.Load(); n != 0 {
			t.Fatalf("%d bytes of input were never given back", n)
		}
	})
}
