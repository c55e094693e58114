package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/unit"
)

func (s *settings) operatorCommands() []*cobra.Command {
	return []*cobra.Command{
		s.status(),
		noun(groupOperator, "node", "Nodes, their devices and who holds them",
			listing(s, "/nodes", "Nodes",
				column[api.Node]{"id", func(v api.Node) string { return string(v.ID) }},
				column[api.Node]{"country", func(v api.Node) string { return v.Country }},
				column[api.Node]{"devices", nodeDevices},
				column[api.Node]{"held", func(v api.Node) string { return fmt.Sprint(len(v.Held)) }},
				column[api.Node]{"memory", func(v api.Node) string { return v.Memory.String() }},
				column[api.Node]{"cannot enforce", func(v api.Node) string { return dash(strings.Join(v.Enforce.Remarks, "; ")) }})),
		noun(groupOperator, "chip", "What each chip is worth beside the reference chip", s.chipRate()),
		noun(groupOperator, "policy", "The policy in force, in Cedar", s.policyShow(), s.policyPublish()),
	}
}

func (s *settings) status() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Who the centre is and how it stands", GroupID: groupOperator, Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			var found api.Centre
			if err := client.Get(c.Context(), "/centre", &found); err != nil {
				return err
			}
			return s.printValue(c.OutOrStdout(), found)
		}}
}

// nodeDevices counts a node's devices by chip: 2 × cpu-slot, 8 × nvidia-h200.
func nodeDevices(v api.Node) string {
	var order []fleet.Chip
	count := map[fleet.Chip]int{}
	for _, device := range v.Devices {
		if count[device.Chip] == 0 {
			order = append(order, device.Chip)
		}
		count[device.Chip]++
	}
	var words []string
	for _, chip := range order {
		words = append(words, fmt.Sprintf("%d × %s", count[chip], chip))
	}
	return strings.Join(words, ", ")
}

func (s *settings) chipRate() *cobra.Command {
	var why string
	c := &cobra.Command{Use: "rate CHIP RATE", Short: "Say what a chip is worth: 1 is the reference chip", Args: exactly("CHIP", "RATE"),
		Example: "  gaon chip rate rebellions-atom 0.35 --why 'measured, tokens per second on the 8B model'",
		RunE: func(c *cobra.Command, args []string) error {
			rate, err := unit.ParseMicro(args[1])
			if err != nil {
				return &usageError{fmt.Errorf("rate: %w", err)}
			}
			return s.post(c, "/chips", api.NewRate{Chip: fleet.Chip(args[0]), Rate: unit.Rate(rate), Why: why}, "")
		}}
	c.Flags().StringVar(&why, "why", "", "how it was measured, for the record")
	return c
}

func (s *settings) policyShow() *cobra.Command {
	return &cobra.Command{Use: "show", Short: "Print the policy in force", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			var found api.PolicyText
			if err := client.Get(c.Context(), "/policy", &found); err != nil {
				return err
			}
			if s.output != "table" {
				return s.printValue(c.OutOrStdout(), found)
			}
			// The digest is told aside, so that what is printed can be published again.
			fmt.Fprintln(c.ErrOrStderr(), found.Digest)
			_, err = fmt.Fprint(c.OutOrStdout(), found.Text)
			return err
		}}
}

func (s *settings) policyPublish() *cobra.Command {
	return &cobra.Command{Use: "publish FILE", Short: "Put a policy in force", Args: exactly("FILE"),
		Example: "  gaon policy show > policy.cedar\n  gaon policy publish policy.cedar",
		RunE: func(c *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			return s.post(c, "/policy", api.PolicyText{Text: string(text)}, "")
		}}
}
