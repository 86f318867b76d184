package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/admin"
)

func (a *app) status() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Whether the cluster is healthy, and why not",
		Long: "Whether the cluster is healthy, and why not, as the node at --addr sees it; and what works in the background.\n" +
			"An answer is exit code 0 whatever it says: scripts read `healthy` from --json.",
		Args: args(cobra.NoArgs),
	}
	t := a.talks(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := t.dial(answerWithin)
		defer c.close()
		var s admin.Status
		if err := c.ask(cmd.Context(), &s, "QUORD.STATUS"); err != nil {
			return err
		}
		if t.asJSON {
			s.Why, s.Workers = notNull(s.Why), notNull(s.Workers)
			return printJSON(a.out, s)
		}
		return a.printStatus(s)
	}
	return cmd
}

func (a *app) printStatus(s admin.Status) error {
	if s.Healthy {
		fmt.Fprintln(a.out, "healthy")
	} else {
		fmt.Fprintln(a.out, "not healthy")
		for _, why := range s.Why {
			fmt.Fprintf(a.out, "  %s\n", why)
		}
	}
	fmt.Fprintf(a.out, "nodes    %s\n", nodeCounts(s.Nodes))
	fmt.Fprintf(a.out, "tablets  %s\n", tabletCounts(s.Tablets))
	if len(s.Workers) == 0 {
		return nil
	}
	rows := [][]string{{"WORKER", "STATE", "DONE", "RATE", "TIME LEFT", "WAITS FOR"}}
	for _, w := range s.Workers {
		rows = append(rows, []string{w.Name, w.State, amount(w), rate(w), left(w), orDash(w.Why)})
	}
	fmt.Fprintln(a.out)
	return table(a.out, rows)
}

func nodeCounts(n admin.NodeCounts) string {
	return fmt.Sprintf("%d up, %d suspect, %d down", n.Up, n.Suspect, n.Down)
}

func tabletCounts(t admin.TabletCounts) string {
	return fmt.Sprintf("%d, of which %d under-replicated, %d unavailable, %d moving", t.Total, t.UnderReplicated, t.Unavailable, t.Moving)
}

func amount(w admin.Worker) string {
	if w.Total == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", w.Done, w.Total)
}

func rate(w admin.Worker) string {
	if w.BytesPerSec == 0 {
		return "-"
	}
	return bytesPerSecond(w.BytesPerSec)
}

func left(w admin.Worker) string {
	if w.EtaSec == 0 {
		return "-"
	}
	return seconds(w.EtaSec)
}

// busy describes in one line the workers that have something to do.
func busy(s admin.Status) string {
	var parts []string
	for _, w := range s.Workers {
		if w.State != "running" && w.State != "waiting" {
			continue
		}
		part := w.Name
		if w.Total > 0 {
			part += " " + amount(w)
		}
		if w.BytesPerSec > 0 {
			part += ", " + rate(w)
		}
		if w.EtaSec > 0 {
			part += ", " + left(w) + " left"
		}
		if w.State == "waiting" && w.Why != "" {
			part += ", waits for " + w.Why
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}
