package main

import (
	"github.com/spf13/cobra"

	"github.com/fozlog/foz/httpapi"
)

func (a *app) openapiCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "openapi",
		Short:   "Print the OpenAPI 3.1 document of the service's HTTP interface",
		Example: "  foz openapi > foz.openapi.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(httpapi.OpenAPI())
			return err
		},
	}
}
