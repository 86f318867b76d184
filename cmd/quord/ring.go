package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/admin"
)

func (a *app) ring() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ring",
		Short: "Nodes in ring order: state, zone, tokens, what each leads and holds",
		Args:  args(cobra.NoArgs),
	}
	t := a.talks(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := t.dial(answerWithin)
		defer c.close()
		var r admin.Ring
		if err := c.ask(cmd.Context(), &r, "QUORD.RING"); err != nil {
			return err
		}
		if t.asJSON {
			r.Nodes = notNull(r.Nodes)
			return printJSON(a.out, r)
		}
		fmt.Fprintf(a.out, "cluster %s: %s, %s, %s of each\n\n",
			r.Cluster, plural(len(r.Nodes), "node"), plural(r.Tablets, "tablet"), replicas(r.Replicas))
		rows := [][]string{{"NODE", "ADDR", "PEER ADDR", "STATE", "ZONE", "WEIGHT", "TOKENS", "SHARE", "LEADS", "HOLDS"}}
		for _, n := range r.Nodes {
			rows = append(rows, []string{
				short(n.ID), orDash(n.Addr), orDash(n.PeerAddr), n.State, orDash(n.Zone), strconv.FormatFloat(n.Weight, 'g', -1, 64),
				strconv.Itoa(n.Tokens), fmt.Sprintf("%.1f%%", n.Share*100), strconv.Itoa(n.Leads), strconv.Itoa(n.Holds),
			})
		}
		return table(a.out, rows)
	}
	return cmd
}

func replicas(n int) string { return plural(n, "replica") }
