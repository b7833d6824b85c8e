//go:build tools

// Package tools pins Terraform, for machines that can reach a Go module proxy but not its publisher.
package tools

import (
	_ "github.com/hashicorp/terraform"
)
