package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/admin"
)

func (a *app) lookup() *cobra.Command {
	var mode string
	var trace bool
	cmd := &cobra.Command{
		Use:   "lookup KEY",
		Short: "Where a key lies: slot, tablet, identifier, leader, replicas",
		Long: "Where a key lies: its slot, tablet and identifier on the ring, who leads and holds it, and who should.\n" +
			"The node at --addr finds that out through the ring. Iterative: it asks hop by hop itself; recursive: each hop\n" +
			"asks the next.",
		Args: args(cobra.ExactArgs(1)),
	}
	t := a.talks(cmd)
	cmd.Flags().StringVar(&mode, "mode", "iterative", "iterative or recursive")
	cmd.Flags().BoolVar(&trace, "trace", false, "print each hop with its time")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if mode != "iterative" && mode != "recursive" {
			return usagef("--mode %q: want iterative or recursive", mode)
		}
		c := t.dial(answerWithin)
		defer c.close()
		var l admin.Lookup
		if err := c.ask(cmd.Context(), &l, "QUORD.LOOKUP", args[0], strings.ToUpper(mode)); err != nil {
			return err
		}
		if t.asJSON {
			l.Replicas, l.Targets, l.Path = notNull(l.Replicas), notNull(l.Targets), notNull(l.Path)
			return printJSON(a.out, l)
		}
		leader := "none at the moment"
		if l.Leader != nil {
			leader = place(*l.Leader)
		}
		err := table(a.out, [][]string{
			{"key", printable(args[0])},
			{"slot", strconv.Itoa(l.Slot)},
			{"tablet", strconv.Itoa(l.Tablet)},
			{"identifier", l.ID},
			{"model", l.Model},
			{"epoch", strconv.FormatUint(l.Epoch, 10)},
			{"leader", leader},
			{"replicas", places(l.Replicas)},
			{"targets", places(l.Targets)},
			{"found in", fmt.Sprintf("%s, %s", plural(l.Hops, "hop"), l.Mode)},
		})
		if err != nil || !trace {
			return err
		}
		rows := [][]string{{"HOP", "NODE", "ADDR", "TIME"}}
		for i, h := range l.Path {
			rows = append(rows, []string{strconv.Itoa(i + 1), short(h.ID), orDash(h.Addr), fmt.Sprintf("%d us", h.RTTus)})
		}
		fmt.Fprintln(a.out)
		return table(a.out, rows)
	}
	return cmd
}

func place(p admin.Place) string { return short(p.ID) + " " + orDash(p.Addr) }

func places(list []admin.Place) string {
	if len(list) == 0 {
		return "-"
	}
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = place(p)
	}
	return strings.Join(words, ", ")
}

// notNull makes an empty list print as [] rather than null.
func notNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
