package server

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/resp"
)

// constantNode answers every read with the same value and every write with OK, at no cost: what is left is the server.
type constantNode struct {
	*fakeNode
	reply []byte
}

func (n *constantNode) TryRead(_ time.Duration, r *request.Request) bool {
	for i := range r.Commands {
		r.Replies = append(r.Replies, append(replyBuffer(r, i), n.reply...))
	}
	return true
}

func (n *constantNode) Submit(reqs []*request.Request) {
	for _, r := range reqs {
		replies := make([][]byte, len(r.Commands))
		for i := range replies {
			replies[i] = okReply
		}
		r.End(replies, nil)
	}
}

// scriptConn is a connection whose client sends the same bytes again and again and reads nothing.
type scriptConn struct {
	net.Conn
	script []byte
	at     int
	left   int // times that the script is still sent
}

func (c *scriptConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.script[c.at:])
	if c.at += n; c.at == len(c.script) {
		c.at, c.left = 0, c.left-1
	}
	return n, nil
}

func (c *scriptConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *scriptConn) Close() error                     { return nil }
func (c *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptConn) SetWriteDeadline(time.Time) error { return nil }
func (c *scriptConn) LocalAddr() net.Addr              { return nil }
func (c *scriptConn) RemoteAddr() net.Addr             { return nil }

// BenchmarkSession is the cost of one command in this package, without sockets and without a store.
func BenchmarkSession(b *testing.B) {
	for _, name := range []string{"GET", "SET"} {
		for _, pipeline := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("%s/P%d", name, pipeline), func(b *testing.B) {
				s, err := New(Config{}, &constantNode{fakeNode: newFakeNode(b, 1024), reply: resp.AppendBulk(nil, make([]byte, 100))})
				if err != nil {
					b.Fatal(err)
				}
				var script []byte
				for i := range pipeline {
					words := []string{name, fmt.Sprintf("key:%06d", i*7919)}
					if name == "SET" {
						words = append(words, string(make([]byte, 100)))
					}
					script = resp.AppendCommand(script, words...)
				}
				conn := &scriptConn{script: script, left: b.N/pipeline + 1}
				b.ReportAllocs()
				b.ResetTimer()
				newSession(s, conn, 1).serve()
			})
		}
	}
}
