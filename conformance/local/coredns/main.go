// Coredns is CoreDNS with the few plugins that a local cluster needs. It forwards nothing: a name outside of the cluster
// has no answer, as nothing leaves the cluster's network namespace.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

func main() {
	// In the order in which a query meets them.
	dnsserver.Directives = []string{"bind", "reload", "health", "ready", "errors", "log", "cache", "hosts", "kubernetes"}
	coremain.Run()
}
