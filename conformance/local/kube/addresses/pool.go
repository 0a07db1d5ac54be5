package addresses

import (
	"cmp"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// claim is one Service that needs an address.
type claim struct {
	owner  types.NamespacedName
	wanted string // spec.loadBalancerIP, or empty
	has    string // what its status says, or empty
}

// pool remembers where it stopped, so that an address just freed is the last to be given again.
type pool struct {
	network netip.Prefix
	last    netip.Addr
	given   map[types.NamespacedName]string
}

func newPool(network netip.Prefix) *pool {
	network = network.Masked()
	return &pool{network: network, last: network.Addr(), given: map[types.NamespacedName]string{}}
}

// settle says who has which address now. Who isn't in the claims loses its address, and who got none isn't in the answer.
func (p *pool) settle(claims []claim) map[types.NamespacedName]string {
	slices.SortFunc(claims, func(a, b claim) int { return cmp.Compare(a.owner.String(), b.owner.String()) })
	taken := map[string]types.NamespacedName{}
	now := map[types.NamespacedName]string{}
	give := func(c claim, address string) {
		taken[address], now[c.owner] = c.owner, address
	}
	// First who keeps an address: what was given here, before what the status says (it may lag, or be of an earlier run).
	for _, held := range []func(claim) string{
		func(c claim) string { return p.given[c.owner] },
		func(c claim) string { return c.has },
	} {
		for _, c := range claims {
			address := held(c)
			if now[c.owner] == "" && p.usable(address) && (c.wanted == "" || c.wanted == address) && taken[address].Name == "" {
				give(c, address)
			}
		}
	}
	for _, c := range claims {
		if now[c.owner] == "" && p.usable(c.wanted) && taken[c.wanted].Name == "" {
			give(c, c.wanted)
		}
	}
	for _, c := range claims {
		if now[c.owner] != "" || c.wanted != "" {
			continue
		}
		if address := p.next(taken); address != "" {
			give(c, address)
		}
	}
	p.given = now
	return now
}

func (p *pool) next(taken map[string]types.NamespacedName) string {
	for address := p.last.Next(); ; address = address.Next() {
		if !p.network.Contains(address) {
			address = p.network.Addr()
		}
		if p.usable(address.String()) && taken[address.String()].Name == "" {
			p.last = address
			return address.String()
		}
		if address == p.last {
			return ""
		}
	}
}

// usable: inside the network, and neither its first nor its last address.
func (p *pool) usable(address string) bool {
	parsed, err := netip.ParseAddr(address)
	return err == nil && p.network.Contains(parsed) && parsed != p.network.Addr() && p.network.Contains(parsed.Next())
}
