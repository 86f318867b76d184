package differential

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/command/memview"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/resp"
)

// A script that picks its keys with KEYS or SCAN and a pattern gets the same keys as from Redis.
func TestPatternsAgreeWithRedis(t *testing.T) {
	redis := newTestRedis(t)
	view := &memview.View{}
	r := rand.New(rand.NewPCG(*seed, 1))
	// Few bytes, so that patterns meet keys; none above 0x7f in ranges, where Redis depends on the machine.
	const alphabet, special = "abcAB-]^\\*?[", "**??[]^-\\abcAB"
	random := func(from string, most int) string {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = from[r.IntN(len(from))]
		}
		return string(b)
	}
	var keys []string
	for range 300 {
		key := random(alphabet, 5)
		keys = append(keys, key)
		do(t, redis, "SET", key, "")
		view.Put([]byte(key), record.Record{Kind: record.String})
	}
	patterns := []string{"*", "**", "", "?", "\\", "[", "[]", "[^]", "[a", "[^", "[a-", "[a-c", "[\\", "[\\]]", "a**b", "*a*b*c*"}
	for range 3000 {
		patterns = append(patterns, random(special, 8))
	}
	for _, p := range patterns {
		want := sortedKeys(t, do(t, redis, "KEYS", p))
		var got []string
		for _, k := range keys {
			if command.Match([]byte(p), []byte(k)) {
				got = append(got, k)
			}
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(want, got) {
			t.Fatalf("pattern %q\nredis: %q\nquord: %q", p, want, got)
		}
	}
}

func sortedKeys(t *testing.T, reply []byte) []string {
	t.Helper()
	v, _, err := resp.Parse(reply)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, item := range v.Elems {
		keys = append(keys, string(item.Text))
	}
	slices.Sort(keys)
	return keys
}

// A full scan with any filter finds what Redis' finds, and refuses what Redis refuses.
func TestScanAgreesWithRedis(t *testing.T) {
	redis := newTestRedis(t)
	view := &memview.View{Time: 1}
	for i := range 500 {
		key := fmt.Sprintf("key:%d", i)
		if i%7 == 0 {
			do(t, redis, "LPUSH", key, "x")
			view.Put([]byte(key), record.Record{Kind: record.List})
			continue
		}
		do(t, redis, "SET", key, "x")
		view.Put([]byte(key), record.Record{Kind: record.String})
	}
	for _, filter := range []string{
		"", "COUNT 1", "COUNT 7", "COUNT 100000", "MATCH key:1*", "match *9 count 50", "TYPE string", "type LIST match *4*",
		"TYPE nosuch", "TYPE hash",
	} {
		want := scanAll(t, func(args [][]byte) []byte {
			reply, err := redis.Do(args)
			if err != nil {
				t.Fatal(err)
			}
			return reply
		}, filter)
		got := scanView(t, view, filter)
		if !slices.Equal(want, got) {
			t.Errorf("SCAN %s finds %d keys, Redis %d", filter, len(got), len(want))
		}
	}
	for _, bad := range []string{
		"x", "18446744073709551616", "0 COUNT 0", "0 COUNT -1", "0 COUNT x", "0 COUNT", "0 MATCH", "0 nosuch 1", "0 x", "1.0",
		"0 COUNT 99999999999999999999",
	} {
		args := strings.Fields("SCAN " + bad)
		words := make([][]byte, len(args))
		for i, a := range args {
			words[i] = []byte(a)
		}
		want := string(do(t, redis, args...))
		if _, problem := command.ParseScan(words); "-"+problem+"\r\n" != want {
			t.Errorf("SCAN %s\nredis: %q\nquord: %q", bad, want, problem)
		}
	}
}

func scanAll(t *testing.T, call func([][]byte) []byte, filter string) []string {
	t.Helper()
	var keys []string
	cursor := "0"
	for {
		args := [][]byte{[]byte("SCAN"), []byte(cursor)}
		for _, w := range strings.Fields(filter) {
			args = append(args, []byte(w))
		}
		v, _, err := resp.Parse(call(args))
		if err != nil || len(v.Elems) != 2 {
			t.Fatalf("SCAN %s: %v %v", filter, v, err)
		}
		for _, item := range v.Elems[1].Elems {
			keys = append(keys, string(item.Text))
		}
		if cursor = string(v.Elems[0].Text); cursor == "0" {
			slices.Sort(keys)
			return slices.Compact(keys)
		}
	}
}

func scanView(t *testing.T, view *memview.View, filter string) []string {
	t.Helper()
	var keys []string
	words := [][]byte{[]byte("scan"), []byte("0")}
	for _, w := range strings.Fields(filter) {
		words = append(words, []byte(w))
	}
	o, problem := command.ParseScan(words)
	if problem != "" {
		t.Fatal(problem)
	}
	for {
		next, found, err := command.ParseScanReply(command.Evaluate(view, o.Command(), nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range found {
			keys = append(keys, string(k))
		}
		if o.Cursor = next; next == 0 {
			slices.Sort(keys)
			return keys // no Compact: each key once
		}
	}
}
