package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/config"
)

// maxInput bounds what put reads from standard input: no node accepts more.
const maxInput = 512 * config.MiB

// pair is what get --json prints, and, without a value, one line of scan --json. What is not UTF-8 stands in base64
// under the second name.
type pair struct {
	Key      *string `json:"key,omitempty"`
	KeyB64   []byte  `json:"key_base64,omitempty"`
	Value    *string `json:"value,omitempty"`
	ValueB64 []byte  `json:"value_base64,omitempty"`
}

func (p *pair) setKey(key string) {
	if utf8.ValidString(key) {
		p.Key = &key
	} else {
		p.KeyB64 = []byte(key)
	}
}

func (p *pair) setValue(value string) {
	if utf8.ValidString(value) {
		p.Value = &value
	} else {
		p.ValueB64 = []byte(value)
	}
}

func (a *app) get() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value of a key",
		Long:  "Print the value of a key, byte for byte; a newline follows only on a terminal. An absent key is exit code 1.",
		Args:  args(cobra.ExactArgs(1)),
	}
	t := a.talks(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := t.dial(answerWithin)
		defer c.close()
		reply, err := c.do(cmd.Context(), "GET", args[0])
		if errors.Is(err, errAbsent) {
			return fmt.Errorf("no such key: %s", printable(args[0]))
		}
		if err != nil {
			return err
		}
		value, ok := reply.(string)
		if !ok {
			return fmt.Errorf("%s answered GET with a %T", t.addr, reply)
		}
		if t.asJSON {
			var p pair
			p.setKey(args[0])
			p.setValue(value)
			return printJSON(a.out, p)
		}
		if isTerminal(a.out) {
			value += "\n"
		}
		_, err = io.WriteString(a.out, value)
		return err
	}
	return cmd
}

func (a *app) put() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "put KEY VALUE",
		Short: "Store a value; - reads it from standard input",
		Args:  args(cobra.ExactArgs(2)),
	}
	t := a.talks(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var value any = args[1]
		size := len(args[1])
		if args[1] == "-" {
			b, err := io.ReadAll(io.LimitReader(a.in, int64(maxInput)+1))
			if err != nil {
				return fmt.Errorf("read standard input: %w", err)
			}
			if config.Size(len(b)) > maxInput {
				return fmt.Errorf("standard input is larger than %s, the most that a value can have", maxInput)
			}
			value, size = b, len(b)
		}
		c := t.dial(answerWithin)
		defer c.close()
		if _, err := c.do(cmd.Context(), "SET", args[0], value); err != nil {
			return err
		}
		if t.asJSON {
			return printJSON(a.out, struct {
				pair
				Bytes int `json:"bytes"`
			}{keyed(args[0]), size})
		}
		fmt.Fprintln(a.out, "OK")
		return nil
	}
	return cmd
}

func keyed(key string) (p pair) { p.setKey(key); return p }

// delBatch bounds the keys of one DEL.
const delBatch = 1000

func (a *app) del() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "del KEY...",
		Short: "Delete keys",
		Args:  args(cobra.MinimumNArgs(1)),
	}
	t := a.talks(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say how many keys would go")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := t.dial(answerWithin)
		defer c.close()
		name, said := "DEL", "deleted"
		if dryRun {
			name, said = "EXISTS", "would delete"
			args = distinct(args) // EXISTS counts a key as often as it is named
		}
		total := int64(0)
		for len(args) > 0 {
			batch := args[:min(delBatch, len(args))]
			args = args[len(batch):]
			command := []any{name}
			for _, key := range batch {
				command = append(command, key)
			}
			reply, err := c.do(cmd.Context(), command...)
			if err != nil {
				if total > 0 {
					return fmt.Errorf("%s %s, then: %w", said, plural(total, "key"), err)
				}
				return err
			}
			n, ok := reply.(int64)
			if !ok {
				return fmt.Errorf("%s answered %s with a %T", t.addr, name, reply)
			}
			total += n
		}
		if t.asJSON {
			return printJSON(a.out, struct {
				Deleted int64 `json:"deleted"`
				DryRun  bool  `json:"dry_run"`
			}{total, dryRun})
		}
		fmt.Fprintf(a.out, "%s %s\n", said, plural(total, "key"))
		return nil
	}
	return cmd
}

func distinct(list []string) []string {
	seen := make(map[string]bool, len(list))
	var out []string
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// scanPage is how many keys one SCAN asks for.
const scanPage = 1000

func (a *app) scan() *cobra.Command {
	var match string
	var count int
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Print the keys, one a line",
		Long: "Print the keys of the whole cluster, one a line, in no particular order.\n" +
			"A key that is there throughout is printed at least once; one that comes or goes meanwhile may be missing, and\n" +
			"while nodes join or leave a key may come twice. With --json each line is an object, so that any key fits.",
		Args: args(cobra.NoArgs),
	}
	t := a.talks(cmd)
	cmd.Flags().StringVar(&match, "match", "", "only keys that match this `pattern` (* ? [a-z] as in Redis)")
	cmd.Flags().IntVar(&count, "count", 0, "print at most this `number` of keys (0: all)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if count < 0 {
			return usagef("--count %d: want 0 or more", count)
		}
		c := t.dial(answerWithin)
		defer c.close()
		printed := 0
		for cursor := "0"; ; {
			page := scanPage
			if count > 0 {
				page = min(page, count-printed)
			}
			command := []any{"SCAN", cursor, "COUNT", strconv.Itoa(page)}
			if match != "" {
				command = append(command, "MATCH", match)
			}
			reply, err := c.do(cmd.Context(), command...)
			if err != nil {
				return err
			}
			next, keys, err := scanReply(reply)
			if err != nil {
				return fmt.Errorf("%s answered SCAN with something else than expected: %w", t.addr, err)
			}
			for _, key := range keys {
				if t.asJSON {
					err = printJSON(a.out, keyed(key))
				} else {
					_, err = fmt.Fprintln(a.out, key)
				}
				if err != nil {
					return err
				}
				if printed++; printed == count {
					return nil
				}
			}
			if cursor = next; cursor == "0" {
				return nil
			}
		}
	}
	return cmd
}

func scanReply(reply any) (cursor string, keys []string, err error) {
	list, ok := reply.([]any)
	if !ok || len(list) != 2 {
		return "", nil, errors.New("want a cursor and keys")
	}
	cursor, ok = list[0].(string)
	found, ok2 := list[1].([]any)
	if !ok || !ok2 {
		return "", nil, errors.New("want a cursor and keys")
	}
	for _, k := range found {
		key, ok := k.(string)
		if !ok {
			return "", nil, fmt.Errorf("a key that is a %T", k)
		}
		keys = append(keys, key)
	}
	return cursor, keys, nil
}
