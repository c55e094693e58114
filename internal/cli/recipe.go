package cli

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/factory"
)

// demoRecipeText is the recipe of the demo: small enough for two cores and a
// minute, honest enough to pass its gate.
//
//go:embed demo-recipe.yaml
var demoRecipeText []byte

func demoRecipe() (factory.Recipe, error) { return parseRecipe("demo-recipe.yaml", demoRecipeText) }

// recipeBytesMax bounds a recipe file: it becomes part of one ledger entry.
const recipeBytesMax = 16 << 10

// parseRecipe reads a recipe strictly and checks it, so that an error names
// the line or the field before anything is sent.
func parseRecipe(name string, data []byte) (factory.Recipe, error) {
	var r factory.Recipe
	if len(data) > recipeBytesMax {
		return r, fmt.Errorf("%s: a recipe has at most %d bytes, this file %d", name, recipeBytesMax, len(data))
	}
	if err := yaml.UnmarshalWithOptions(data, &r, yaml.Strict()); err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil {
			return r, fmt.Errorf("%s:%d: %s\nhint: compare with: gaon run recipe", name, at.GetToken().Position.Line, at.GetMessage())
		}
		return r, fmt.Errorf("%s: %w\nhint: compare with: gaon run recipe", name, err)
	}
	if err := errors.Join(r.Check(), r.CheckFourEyes()); err != nil {
		return r, fmt.Errorf("%s: %w\nhint: compare with: gaon run recipe", name, err)
	}
	return r, nil
}

func (s *settings) recipeShow() *cobra.Command {
	return &cobra.Command{Use: "recipe", Short: "Print the recipe of the demo, to begin your own from", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(demoRecipeText)
			return err
		}}
}
