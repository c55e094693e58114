package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/unit"
)

func (s *settings) tenantCommands() []*cobra.Command {
	return []*cobra.Command{
		s.apply(),
		noun(groupTenant, "grant", "Awards of compute and what is left of them",
			listing(s, "/grants", "Grants",
				column[api.Grant]{"id", func(v api.Grant) string { return string(v.ID) }},
				column[api.Grant]{"org", func(v api.Grant) string { return string(v.Org) }},
				column[api.Grant]{"credits", func(v api.Grant) string { return v.Credits.String() }},
				column[api.Grant]{"used", func(v api.Grant) string { return v.Charged.String() }},
				column[api.Grant]{"held", func(v api.Grant) string { return v.Held.String() }},
				column[api.Grant]{"left", func(v api.Grant) string { return v.Available.String() }},
				column[api.Grant]{"jobs", func(v api.Grant) string { return fmt.Sprint(v.Jobs) }},
				column[api.Grant]{"until", func(v api.Grant) string { return when(v.Until) }})),
		noun(groupTenant, "dataset", "Data to make models of", s.datasetAdd(),
			listing(s, "/datasets", "Datasets",
				column[api.Dataset]{"id", func(v api.Dataset) string { return string(v.ID) }},
				column[api.Dataset]{"name", func(v api.Dataset) string { return v.Name }},
				column[api.Dataset]{"purpose", func(v api.Dataset) string { return v.Purpose }},
				column[api.Dataset]{"label", func(v api.Dataset) string { return v.Label.String() }},
				column[api.Dataset]{"licence", func(v api.Dataset) string { return v.Licence }},
				column[api.Dataset]{"files", func(v api.Dataset) string { return fmt.Sprint(v.Files) }},
				column[api.Dataset]{"size", func(v api.Dataset) string { return v.Size.String() }})),
		noun(groupTenant, "run", "Factory runs: from data to a served model", s.runStart(), s.recipeShow(), s.runList(),
			showing[api.Run](s, "/runs", "One run, whole"), s.runWatch(),
			changing(s, "approve", "/runs", "approve", "Approve the release of a run that passed its gate", func() any { return api.Empty{} })),
		noun(groupTenant, "job", "Jobs: submit, follow, ask why", s.jobSubmit(), s.jobList(),
			showing[api.Job](s, "/jobs", "One job, whole"), s.jobWhy(), s.jobLogs(),
			changing(s, "stop", "/jobs", "stop", "Ask a job to end", func() any { return api.NewStop{} })),
		noun(groupTenant, "endpoint", "Endpoints that serve models",
			listing(s, "/endpoints", "Endpoints",
				column[api.Endpoint]{"id", func(v api.Endpoint) string { return string(v.ID) }},
				column[api.Endpoint]{"name", func(v api.Endpoint) string { return v.Name }},
				column[api.Endpoint]{"model", func(v api.Endpoint) string { return string(v.Model) }},
				column[api.Endpoint]{"state", func(v api.Endpoint) string { return v.State }},
				column[api.Endpoint]{"job", func(v api.Endpoint) string { return string(v.Job) }},
				column[api.Endpoint]{"requests", endpointRequests},
				column[api.Endpoint]{"tokens", endpointTokens}),
			s.endpointOpen(),
			changing(s, "close", "/endpoints", "close", "End an endpoint", func() any { return api.Empty{} })),
		s.chat(),
	}
}

func endpointRequests(v api.Endpoint) string {
	sum := int64(0)
	for _, use := range v.Use {
		sum += use.Requests
	}
	return fmt.Sprint(sum)
}

func endpointTokens(v api.Endpoint) string {
	in, out := int64(0), int64(0)
	for _, use := range v.Use {
		in, out = in+use.Prompt, out+use.Completion
	}
	return fmt.Sprintf("%d in, %d out", in, out)
}

func (s *settings) apply() *cobra.Command {
	body := api.NewApplication{}
	var org string
	c := &cobra.Command{Use: "apply CALL", Short: "Ask for credits; within the rule's ceiling they are there at once", GroupID: groupTenant,
		Args:    exactly("CALL"),
		Example: "  gaon apply C6 --org O7 --credits 50 --purpose '한국어 소형 언어 모델 학습'",
		RunE: func(c *cobra.Command, args []string) error {
			body.Call, body.Org = programme.CallID(args[0]), party.OrgID(org)
			return s.post(c, "/applications", body, "gaon application list")
		}}
	c.Flags().StringVar(&org, "org", "", "the organisation that applies")
	c.Flags().Var(credits{&body.Credits}, "credits", "how many; one is an hour of the reference chip")
	c.Flags().StringVar(&body.Purpose, "purpose", "", "what for, in one line")
	return c
}

func (s *settings) datasetAdd() *cobra.Command {
	body := dataset.Dataset{Purpose: dataset.Training}
	var org, class string
	var residency []string
	c := &cobra.Command{Use: "add PATH", Short: "Upload a file or folder and record it as a dataset", Args: exactly("PATH"),
		Example: "  gaon dataset add ./corpus --name 'news 2026' --org O7 --licence CC-BY-4.0 --residency KR",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			files, err := api.Upload(c.Context(), client, args[0], s.progress(c.ErrOrStderr(), "upload", "올리기"))
			if err != nil {
				return err
			}
			body.Org, body.Tree = party.OrgID(org), files.Tree
			body.Label = policy.Label{Class: policy.Class(class), Residency: residency}
			if body.Name == "" {
				body.Name = strings.TrimSuffix(args[0], "/")
			}
			return s.post(c, "/datasets", body, "gaon run start --training DATASET")
		}}
	f := c.Flags()
	f.StringVar(&body.Name, "name", "", "its name (default: the path)")
	f.StringVar(&org, "org", "", "the organisation it belongs to")
	f.StringVar(&body.Licence, "licence", "", "SPDX identifier, or LicenseRef-… of your own")
	f.StringVar(&body.Consent, "consent", "owner's own text", "the ground on which it may be used")
	f.StringVar(&body.Purpose, "purpose", dataset.Training, "training or evaluation")
	f.StringVar(&class, "class", string(policy.Internal), "public, internal, confidential or national")
	f.StringSliceVar(&residency, "residency", nil, "countries it may be stored and processed in (default anywhere)")
	return c
}

func (s *settings) runStart() *cobra.Command {
	body := api.NewRun{}
	var given, file string
	var training, evaluation []string
	c := &cobra.Command{Use: "start", Short: "Begin a factory run", Args: exactly(),
		Example: "  gaon run start --grant G9 --training D11 --recipe recipe.yaml\n  gaon run recipe > recipe.yaml      the recipe of the demo, to begin from",
		RunE: func(c *cobra.Command, _ []string) error {
			recipe, err := s.readRecipe(file)
			if err != nil {
				return err
			}
			body.Grant, body.Recipe = grant.ID(given), recipe
			for _, id := range training {
				body.Training = append(body.Training, dataset.ID(id))
			}
			for _, id := range evaluation {
				body.Evaluation = append(body.Evaluation, dataset.ID(id))
			}
			return s.post(c, "/runs", body, "gaon run watch RUN")
		}}
	f := c.Flags()
	f.StringVar(&given, "grant", "", "the grant that pays")
	f.StringVar(&file, "recipe", "", "recipe file, YAML (default: the demo's)")
	f.StringSliceVar(&training, "training", nil, "datasets to train on")
	f.StringSliceVar(&evaluation, "evaluation", nil, "datasets to evaluate with")
	return c
}

func (s *settings) runList() *cobra.Command {
	return listing(s, "/runs", "Factory runs",
		column[api.Run]{"id", func(v api.Run) string { return string(v.ID) }},
		column[api.Run]{"recipe", func(v api.Run) string { return v.Recipe.Name }},
		column[api.Run]{"state", func(v api.Run) string { return v.State }},
		column[api.Run]{"stages", runStages},
		column[api.Run]{"model", func(v api.Run) string { return dash(v.Model) }},
		column[api.Run]{"endpoint", func(v api.Run) string { return dash(v.Endpoint) }},
		column[api.Run]{"reason", func(v api.Run) string { return dash(v.Reason) }})
}

// runStages tells how far a run has come: curate ✓ tokenizer ✓ train …
func runStages(v api.Run) string {
	var words []string
	for _, name := range factory.Stages {
		stage, begun := v.Stages[name]
		if !begun {
			break
		}
		mark := map[string]string{job.Succeeded: "✓", job.Failed: "✗"}[stage.State]
		if mark == "" {
			mark = "…"
		}
		words = append(words, name+" "+mark)
	}
	return dash(strings.Join(words, " "))
}

func (s *settings) runWatch() *cobra.Command {
	return &cobra.Command{Use: "watch ID", Short: "Follow a run until it ends", Args: exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			return s.followRun(c.Context(), c.OutOrStdout(), client, args[0], map[string]bool{})
		}}
}

func (s *settings) jobSubmit() *cobra.Command {
	body := job.Spec{Chip: fleet.CPUSlot, CountMin: 1, Count: 1, Memory: 512 << 20}
	var given, chip, class string
	var limit time.Duration
	var residency []string
	c := &cobra.Command{Use: "submit -- COMMAND [ARG...]", Short: "Submit a job of your own",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("no command to run\nhint: put it after two dashes: gaon job submit --grant G9 -- python3 train.py")}
			}
			return nil
		},
		Example: "  gaon job submit --grant G9 --time 10m -- python3 train.py\n  gaon job submit --grant G9 --chip nvidia-h200 --count 8 -- ./train.sh",
		RunE: func(c *cobra.Command, args []string) error {
			body.Argv, body.Grant, body.Chip = args, grant.ID(given), fleet.Chip(chip)
			body.TimeLimit = unit.Span(limit.Milliseconds())
			body.CountMin = body.Count
			body.Label = policy.Label{Class: policy.Class(class), Residency: residency}
			if body.Name == "" {
				body.Name = args[0]
			}
			return s.post(c, "/jobs", body, "gaon job why JOB, gaon job logs JOB")
		}}
	f := c.Flags()
	f.StringVar(&given, "grant", "", "the grant that pays")
	f.StringVar(&body.Name, "name", "", "its name (default: the command)")
	f.StringVar(&chip, "chip", string(fleet.CPUSlot), "what to run on")
	f.IntVar(&body.Count, "count", 1, "how many of them")
	f.Int64Var((*int64)(&body.Memory), "memory", 512<<20, "memory in bytes")
	f.DurationVar(&limit, "time", time.Hour, "time limit; what is held is given back at the end")
	f.BoolVar(&body.Network, "network", false, "wants the network; policy may refuse")
	f.StringVar(&class, "class", string(policy.Internal), "class of what it works on")
	f.StringSliceVar(&residency, "residency", nil, "countries it may run in (default anywhere)")
	return c
}

func (s *settings) jobList() *cobra.Command {
	return listing(s, "/jobs", "Jobs, live ones first",
		column[api.Job]{"id", func(v api.Job) string { return string(v.ID) }},
		column[api.Job]{"name", func(v api.Job) string { return v.Name }},
		column[api.Job]{"state", func(v api.Job) string { return v.State }},
		column[api.Job]{"on", func(v api.Job) string {
			return dash(strings.TrimSpace(string(v.Placement.Node) + " " + strings.Join(v.Placement.Devices, ",")))
		}},
		column[api.Job]{"chip-seconds", func(v api.Job) string { return fmt.Sprint(int64(v.Use)) }},
		column[api.Job]{"credits", func(v api.Job) string { return v.Charged.String() }},
		column[api.Job]{"why", func(v api.Job) string { return dash(s.why(v)) }})
}

func (s *settings) why(v api.Job) string {
	if v.Why != nil {
		return s.say(v.Why.EN, v.Why.KO)
	}
	return v.Reason
}

func (s *settings) jobWhy() *cobra.Command {
	return &cobra.Command{Use: "why ID", Short: "Why a job waits, or how it ended", Args: exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			var found api.Job
			if err := client.Get(c.Context(), "/jobs/"+args[0], &found); err != nil {
				return err
			}
			if s.output != "table" {
				return s.printValue(c.OutOrStdout(), map[string]any{"id": found.ID, "state": found.State, "why": found.Why, "reason": found.Reason})
			}
			text := s.why(found)
			switch {
			case text != "":
			case found.State == job.Running:
				text = s.say("it runs on ", "실행 중인 곳: ") + string(found.Placement.Node) + " " + strings.Join(found.Placement.Devices, ",")
			default:
				text = found.State
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s: %s\n", found.ID, found.State, text)
			return err
		}}
}

func (s *settings) jobLogs() *cobra.Command {
	var follow, errors bool
	c := &cobra.Command{Use: "logs ID", Short: "What a job printed", Args: exactly("ID"),
		Example: "  gaon job logs J14 --follow",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			path := fmt.Sprintf("/jobs/%s/logs?follow=%t&stream=stdout", args[0], follow)
			if errors {
				path = strings.Replace(path, "stdout", "stderr", 1)
			}
			stream, err := client.Stream(c.Context(), path)
			if err != nil {
				return err
			}
			defer stream.Close()
			_, err = io.Copy(c.OutOrStdout(), stream)
			return err
		}}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing until the job ends")
	c.Flags().BoolVar(&errors, "stderr", false, "what it printed as errors instead")
	return c
}

// readRecipe reads a recipe file strictly: an unknown key is named with its
// line, so a typing mistake cannot silently change a run.
func (s *settings) readRecipe(file string) (factory.Recipe, error) {
	if file == "" {
		return demoRecipe()
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return factory.Recipe{}, err
	}
	return parseRecipe(file, data)
}
