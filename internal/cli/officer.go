package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/host"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/unit"
)

func (s *settings) officerCommands() []*cobra.Command {
	return []*cobra.Command{
		noun(groupOfficer, "org", "Organisations", s.orgAdd(),
			listing(s, "/orgs", "Organisations",
				column[api.Organisation]{"id", func(v api.Organisation) string { return string(v.ID) }},
				column[api.Organisation]{"name", func(v api.Organisation) string { return v.Name }},
				column[api.Organisation]{"country", func(v api.Organisation) string { return v.Country }},
				column[api.Organisation]{"kind", func(v api.Organisation) string { return v.Kind }})),
		noun(groupOfficer, "person", "People: their details are sealed, and can be erased", s.personAdd(),
			listing(s, "/people", "People",
				column[api.Person]{"id", func(v api.Person) string { return string(v.ID) }},
				column[api.Person]{"org", func(v api.Person) string { return dash(string(v.Org)) }},
				column[api.Person]{"roles", func(v api.Person) string { return strings.Join(v.Roles, ",") }},
				column[api.Person]{"name", personName}),
			s.personErase()),
		noun(groupOfficer, "key", "Keys people and programs act with", s.keyAdd(),
			listing(s, "/keys", "Keys",
				column[api.Key]{"id", func(v api.Key) string { return string(v.ID) }},
				column[api.Key]{"person", func(v api.Key) string { return string(v.Person) }},
				column[api.Key]{"use", func(v api.Key) string { return v.Use }},
				column[api.Key]{"until", func(v api.Key) string { return when(v.Until) }},
				column[api.Key]{"revoked", func(v api.Key) string { return fmt.Sprint(v.Revoked) }}),
			changing(s, "revoke", "/keys", "revoke", "End a key", func() any { return api.Empty{} })),
		noun(groupOfficer, "programme", "Programmes and their published rules", s.programmeAdd(),
			listing(s, "/programmes", "Programmes",
				column[api.Programme]{"id", func(v api.Programme) string { return string(v.ID) }},
				column[api.Programme]{"name", func(v api.Programme) string { return v.Name }},
				column[api.Programme]{"at once up to", func(v api.Programme) string { return v.Rule.Ceiling.String() }},
				column[api.Programme]{"per organisation", func(v api.Programme) string { return v.Rule.PerOrg.String() }},
				column[api.Programme]{"countries", func(v api.Programme) string { return dash(strings.Join(v.Rule.Countries, ",")) }},
				column[api.Programme]{"kinds", func(v api.Programme) string { return dash(strings.Join(v.Rule.Kinds, ",")) }})),
		noun(groupOfficer, "call", "Calls for applications", s.callOpen(),
			listing(s, "/calls", "Calls",
				column[api.Call]{"id", func(v api.Call) string { return string(v.ID) }},
				column[api.Call]{"programme", func(v api.Call) string { return string(v.Programme) }},
				column[api.Call]{"name", func(v api.Call) string { return v.Name }},
				column[api.Call]{"budget", func(v api.Call) string { return v.Budget.String() }},
				column[api.Call]{"awarded", func(v api.Call) string { return v.Awarded.String() }},
				column[api.Call]{"closes", func(v api.Call) string { return when(v.Closes) }})),
		noun(groupOfficer, "application", "Applications for credits",
			listing(s, "/applications", "Applications",
				column[api.Application]{"id", func(v api.Application) string { return string(v.ID) }},
				column[api.Application]{"call", func(v api.Application) string { return string(v.Call) }},
				column[api.Application]{"org", func(v api.Application) string { return string(v.Org) }},
				column[api.Application]{"credits", func(v api.Application) string { return v.Credits.String() }},
				column[api.Application]{"state", func(v api.Application) string { return v.State }},
				column[api.Application]{"grant", func(v api.Application) string { return dash(v.Grant) }},
				column[api.Application]{"why", func(v api.Application) string { return strings.Join(v.Reasons, "; ") }}),
			s.applicationDecide()),
	}
}

func personName(v api.Person) string {
	switch {
	case v.Erased:
		return "(erased)"
	case v.Details == nil:
		return "-"
	}
	return v.Details.Name
}

func (s *settings) orgAdd() *cobra.Command {
	body := api.NewOrganisation{}
	c := &cobra.Command{Use: "add NAME", Short: "Admit an organisation", Args: exactly("NAME"),
		Example: "  gaon org add '한빛언어연구소' --country KR --kind company",
		RunE: func(c *cobra.Command, args []string) error {
			body.Name = args[0]
			return s.post(c, "/orgs", body, "gaon person add NAME --org ORG")
		}}
	c.Flags().StringVar(&body.Country, "country", "KR", "its country, ISO 3166-1 alpha-2")
	c.Flags().StringVar(&body.Kind, "kind", "company", "company, university, institute or office")
	return c
}

func (s *settings) personAdd() *cobra.Command {
	body := api.NewPerson{}
	var org string
	var roles []string
	c := &cobra.Command{Use: "add NAME", Short: "Admit a person; the name is sealed, the ledger knows a pseudonym", Args: exactly("NAME"),
		Example: "  gaon person add '김하늘' --org O7 --role tenant --email haneul@example.kr",
		RunE: func(c *cobra.Command, args []string) error {
			body.Details.Name, body.Org, body.Roles = args[0], party.OrgID(org), []party.Role{}
			for _, role := range roles {
				body.Roles = append(body.Roles, party.Role{Name: role})
			}
			return s.post(c, "/people", body, "gaon key add PERSON")
		}}
	c.Flags().StringVar(&org, "org", "", "the organisation the person belongs to")
	c.Flags().StringSliceVar(&roles, "role", []string{party.Tenant}, "operator, officer, reviewer, signer, tenant or auditor")
	c.Flags().StringVar(&body.Details.Email, "email", "", "e-mail address, sealed")
	c.Flags().StringVar(&body.Details.Phone, "phone", "", "telephone number, sealed")
	return c
}

func (s *settings) personErase() *cobra.Command {
	return &cobra.Command{Use: "erase ID", Short: "Destroy the key of a person's details, for ever; the ledger still verifies", Args: exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return s.post(c, "/people/"+args[0]+"/erase", struct{}{}, "gaon verify")
		}}
}

func (s *settings) keyAdd() *cobra.Command {
	var use string
	var days int
	c := &cobra.Command{Use: "add PERSON", Short: "Make a key for a person and print it once", Args: exactly("PERSON"),
		Example: "  gaon key add P9 --use inference --days 30",
		RunE: func(c *cobra.Command, args []string) error {
			secret := host.NewSecret()
			body := api.NewKey{Person: party.PersonID(args[0]), Use: use, Secret: unit.DigestOf([]byte(secret))}
			if days > 0 {
				body.Until = unit.Instant(time.Now().AddDate(0, 0, days).UnixMilli())
			}
			client, err := s.client()
			if err != nil {
				return err
			}
			made, err := client.Post(c.Context(), "/keys", "", body)
			if err != nil {
				return err
			}
			if s.output == "id" {
				_, err = fmt.Fprintln(c.OutOrStdout(), secret) // what scripts want of a new key
				return err
			}
			if s.output != "table" {
				return s.printValue(c.OutOrStdout(), map[string]any{"id": made.ID, "entry": made.Entry, "secret": secret})
			}
			fmt.Fprintf(c.OutOrStdout(), s.say("%s: %s\nIt is shown only now; the centre keeps its digest alone.\n",
				"%s: %s\n지금만 보입니다. 센터는 이 키의 다이제스트만 보관합니다.\n"), made.ID, secret)
			return nil
		}}
	c.Flags().StringVar(&use, "use", party.ForAPI, "api or inference")
	c.Flags().IntVar(&days, "days", 0, "days it is valid; 0 is without end")
	return c
}

// credits is a flag in whole or decimal credits.
type credits struct{ value *unit.Credits }

func (c credits) String() string {
	if c.value == nil {
		return "0"
	}
	return c.value.String()
}
func (c credits) Type() string { return "credits" }
func (c credits) Set(text string) error {
	v, err := unit.ParseCredits(text)
	*c.value = v
	return err
}

func (s *settings) programmeAdd() *cobra.Command {
	body := programme.Programme{Rule: programme.Rule{Ceiling: 100 * unit.Credit, PerOrg: 1000 * unit.Credit, Length: 180 * unit.Day}}
	var days int
	c := &cobra.Command{Use: "add NAME", Short: "Publish a programme and the rule by which it awards", Args: exactly("NAME"),
		Example: "  gaon programme add 'AI 스타트업 도약' --ceiling 100 --per-org 1000 --country KR --kind company,university",
		RunE: func(c *cobra.Command, args []string) error {
			body.Name, body.Rule.Length = args[0], unit.Span(days)*unit.Day
			return s.post(c, "/programmes", body, "gaon call open PROGRAMME")
		}}
	body.Rule.Countries, body.Rule.Kinds = []string{}, []string{}
	c.Flags().Var(credits{&body.Rule.Ceiling}, "ceiling", "requests up to this are awarded at once")
	c.Flags().Var(credits{&body.Rule.PerOrg}, "per-org", "most one organisation may hold from a call")
	c.Flags().StringSliceVar(&body.Rule.Countries, "country", []string{}, "applicants' countries (default any)")
	c.Flags().StringSliceVar(&body.Rule.Kinds, "kind", []string{}, "applicants' kinds (default any)")
	c.Flags().IntVar(&days, "days", 180, "how long an award lasts")
	return c
}

func (s *settings) callOpen() *cobra.Command {
	body := api.NewCall{Budget: 10_000 * unit.Credit}
	var days int
	c := &cobra.Command{Use: "open PROGRAMME NAME", Short: "Open a call of a programme", Args: exactly("PROGRAMME", "NAME"),
		Example: "  gaon call open N5 '2026년 하반기' --budget 10000 --days 90",
		RunE: func(c *cobra.Command, args []string) error {
			body.Programme, body.Name = programme.ID(args[0]), args[1]
			body.Closes = unit.Instant(time.Now().AddDate(0, 0, days).UnixMilli())
			return s.post(c, "/calls", body, "gaon apply CALL")
		}}
	c.Flags().Var(credits{&body.Budget}, "budget", "credits the call can award in all")
	c.Flags().IntVar(&days, "days", 90, "days until it closes")
	return c
}

func (s *settings) applicationDecide() *cobra.Command {
	body := api.NewDecision{}
	var decline bool
	c := &cobra.Command{Use: "decide ID", Short: "Award or decline an application in review", Args: exactly("ID"),
		Example: "  gaon application decide A12 --reason 'reviewed by two, 8.5 of 10'",
		RunE: func(c *cobra.Command, args []string) error {
			body.Award = !decline
			return s.post(c, "/applications/"+args[0]+"/decision", body, "")
		}}
	c.Flags().BoolVar(&decline, "decline", false, "decline instead of award")
	c.Flags().StringVar(&body.Reason, "reason", "", "why, for the record")
	return c
}
