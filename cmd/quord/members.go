package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/admin"
)

// progressEvery is how often a verb that waits asks how far the node has come.
const progressEvery = 500 * time.Millisecond

// moved is what leave, remove and replace print with --json.
type moved struct {
	Node   string `json:"node"`
	DryRun bool   `json:"dry_run"`
	Answer string `json:"answer"`
}

func (a *app) leave() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "The node at --addr hands everything over and stops",
		Long: "The node at --addr hands everything that it holds to the others, tells the ring, and stops for good.\n" +
			"The verb waits until that is done. Interrupting the verb does not interrupt the node: `quord status` and\n" +
			"`quord ring` show how far it is.",
		Args: args(cobra.NoArgs),
	}
	t := a.talks(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be handed over")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := t.dial(0)
		defer c.close()
		ctx := cmd.Context()
		var r admin.Ring
		if err := c.ask(ctx, &r, "QUORD.RING"); err != nil {
			return err
		}
		self, err := c.self(ctx, r)
		if err != nil {
			return err
		}
		result := moved{Node: self.ID, DryRun: dryRun}
		if dryRun {
			reply, err := c.do(ctx, "QUORD.LEAVE", "DRYRUN")
			if err != nil {
				return err
			}
			result.Answer = fmt.Sprint(reply)
		} else if result.Answer, err = a.leaveNow(ctx, t, c, self); err != nil {
			return err
		}
		return a.printMoved(t, result)
	}
	return cmd
}

// self finds the node that c talks to among those of the ring: by the id that it tells in INFO.
func (c *client) self(ctx context.Context, r admin.Ring) (admin.Node, error) {
	reply, err := c.do(ctx, "INFO", "quord")
	if err != nil {
		return admin.Node{}, err
	}
	text, _ := reply.(string)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != infoNodeID {
			continue
		}
		for _, n := range r.Nodes {
			if n.ID == value {
				return n, nil
			}
		}
		return admin.Node{}, fmt.Errorf("the node at %s (%s) is not a member of the ring", c.addr, value)
	}
	return admin.Node{}, fmt.Errorf("%s does not tell its node id (no %s in INFO quord)", c.addr, infoNodeID)
}

// infoNodeID is the line of INFO that holds the node's id.
const infoNodeID = "node_id"

// leaveNow asks the node to leave and shows progress until it has.
func (a *app) leaveNow(ctx context.Context, t *target, c *client, self admin.Node) (string, error) {
	watch := t.dial(dialWithin)
	defer watch.close()
	type outcome struct {
		reply any
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		reply, err := c.do(ctx, "QUORD.LEAVE")
		done <- outcome{reply, err}
	}()
	p := newProgress(a.err)
	began := time.Now()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case o := <-done:
			p.show("")
			switch {
			case errors.Is(o.err, errClosed):
				return "", fmt.Errorf("%w; whether it has left, `quord ring --addr` of another node says", o.err)
			case o.err != nil:
				return "", o.err
			}
			return fmt.Sprintf("node %s has left", short(self.ID)), nil
		case <-tick.C:
			if p.live {
				p.show(watch.leaving(ctx, self, time.Since(began)))
			}
		}
	}
}

// leaving describes how far the node has come since it began; what cannot be asked is left out.
func (c *client) leaving(ctx context.Context, self admin.Node, took time.Duration) string {
	line := "leaving"
	var r admin.Ring
	if c.ask(ctx, &r, "QUORD.RING") == nil {
		for _, n := range r.Nodes {
			if n.ID == self.ID {
				line += ": " + handedOver(max(self.Holds-n.Holds, 0), self.Holds, took)
			}
		}
	}
	var s admin.Status
	if c.ask(ctx, &s, "QUORD.STATUS") == nil {
		if what := busy(s); what != "" {
			line += "; " + what
		}
	}
	return line
}

// handedOver says how many of the tablets are gone, how fast they went, and how long the others take at that pace.
func handedOver(done, total int, took time.Duration) string {
	line := fmt.Sprintf("%d of %d tablets handed over", done, total)
	if done == 0 || took <= 0 {
		return line
	}
	if pace := float64(done) / took.Seconds(); pace >= 1 {
		line += fmt.Sprintf(", %.1f/s", pace)
	} else {
		line += fmt.Sprintf(", %.1f/min", 60*pace)
	}
	if done < total {
		line += ", " + seconds(int64(math.Ceil(took.Seconds()*float64(total-done)/float64(done)))) + " left"
	}
	return line
}

func (a *app) remove() *cobra.Command {
	return a.settle("remove", "QUORD.REMOVE", "A dead node is gone for good",
		"A dead node is gone for good: what it held is copied to others now, without waiting for --replace-after of the\n"+
			"cluster, and it may never come back. A node that is alive leaves by `quord leave`.")
}

func (a *app) replace() *cobra.Command {
	return a.settle("replace", "QUORD.REPLACE", "A new node takes a dead one's place",
		"A dead node is gone for good, as with remove, and the node at --addr takes its place on the ring: what the dead one\n"+
			"held is copied there and nowhere else. That must be a node that has joined after the dead one did: a new one, for\n"+
			"it gives up the place that it got when it joined.")
}

// settle makes a verb that decides the fate of a dead node.
func (a *app) settle(verb, command, shortly, long string) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   verb + " NODE",
		Short: shortly,
		Long:  long + "\n\nNODE is its id, or enough of its beginning to be the only one.",
		Args:  args(cobra.ExactArgs(1)),
	}
	t := a.talks(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would happen")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := t.dial(answerWithin)
		defer c.close()
		ctx := cmd.Context()
		var r admin.Ring
		if err := c.ask(ctx, &r, "QUORD.RING"); err != nil {
			return err
		}
		id, err := resolve(r, args[0])
		if err != nil {
			return err
		}
		request := []any{command, id}
		if dryRun {
			request = append(request, "DRYRUN")
		}
		reply, err := c.do(ctx, request...)
		if err != nil {
			return err
		}
		return a.printMoved(t, moved{Node: id, DryRun: dryRun, Answer: fmt.Sprint(reply)})
	}
	return cmd
}

// resolve finds the one node whose id begins with prefix.
func resolve(r admin.Ring, prefix string) (string, error) {
	prefix = strings.ToLower(prefix)
	if prefix == "" || strings.Trim(prefix, "0123456789abcdef") != "" {
		return "", usagef("node %q: want the beginning of a node's id, hexadecimal digits as `quord ring` shows them", prefix)
	}
	var known, found []string
	for _, n := range r.Nodes {
		known = append(known, short(n.ID))
		if strings.HasPrefix(n.ID, prefix) {
			found = append(found, n.ID)
		}
	}
	slices.Sort(known)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("no node has an id that begins with %s: there are %s", prefix, strings.Join(known, " "))
	}
	slices.Sort(found)
	return "", fmt.Errorf("%s begins the ids of several nodes: %s", prefix, strings.Join(found, " "))
}

func (a *app) printMoved(t *target, m moved) error {
	if t.asJSON {
		return printJSON(a.out, m)
	}
	fmt.Fprintln(a.out, m.Answer)
	return nil
}
