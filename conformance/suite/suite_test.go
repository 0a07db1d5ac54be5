// Package suite is the upstream conformance suite of the Gateway API as a Go test of our own. Every option comes from the
// flags of the upstream suite; conformance/run gives them.
package suite

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) { conformance.RunConformance(t) }
