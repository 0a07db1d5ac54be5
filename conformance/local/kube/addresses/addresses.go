// Package addresses gives each Service of type LoadBalancer an IPv4 address out of a pool, by writing its status;
// kube-proxy on the same machine does the rest. It is what MetalLB is to a bare cluster, without announcing anything:
// the addresses work inside the cluster's network namespace only.
//
// A Service keeps its address for life. spec.loadBalancerIP is honoured when it lies in the pool and is free, else the
// Service waits. Services with a loadBalancerClass are somebody else's.
package addresses

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// Run serves addresses until SIGTERM or SIGINT. Flags: -kubeconfig FILE, -pool PREFIX.
func Run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("addresses", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	prefix := flags.String("pool", "172.30.1.0/24", "addresses to give")
	if err := flags.Parse(args); err != nil {
		return err
	}
	network, err := netip.ParsePrefix(*prefix)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log.SetOutput(os.Stdout)
	return serve(ctx, client, newPool(network))
}

// serve looks at all Services after each change. They are few, and so nothing is missed: an address that became free
// goes to who waits for it.
func serve(ctx context.Context, client kubernetes.Interface, pool *pool) error {
	factory := informers.NewSharedInformerFactory(client, 30*time.Second)
	services := factory.Core().V1().Services()
	changed := make(chan struct{}, 1)
	wake := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	_, err := services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    wake,
		UpdateFunc: func(_, new any) { wake(new) },
		DeleteFunc: wake,
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			if err := assign(ctx, client, services.Lister(), pool); err != nil {
				log.Print(err)
				time.AfterFunc(time.Second, func() { wake(nil) })
			}
		}
	}
}

func assign(ctx context.Context, client kubernetes.Interface, lister corelisters.ServiceLister, pool *pool) error {
	all, err := lister.List(labels.Everything())
	if err != nil {
		return err
	}
	claims := make([]claim, 0, len(all))
	byOwner := make(map[types.NamespacedName]*core.Service, len(all))
	for _, service := range all {
		owner := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
		byOwner[owner] = service
		if wantsAddress(service) {
			claims = append(claims, claim{owner: owner, wanted: service.Spec.LoadBalancerIP, has: currentAddress(service)})
		}
	}
	given := pool.settle(claims)
	var failed error
	for owner, service := range byOwner {
		address, has := given[owner], currentAddress(service)
		if address == has || (has == "" && len(service.Status.LoadBalancer.Ingress) > 0) {
			continue
		}
		switch err := write(ctx, client, owner, address); {
		case errors.IsNotFound(err):
		case err != nil:
			failed = fmt.Errorf("%s: %w", owner, err)
		case address == "":
			log.Printf("%s: no address", owner)
		default:
			log.Printf("%s: %s", owner, address)
		}
	}
	return failed
}

func wantsAddress(service *core.Service) bool {
	return service.Spec.Type == core.ServiceTypeLoadBalancer &&
		service.Spec.LoadBalancerClass == nil &&
		service.DeletionTimestamp == nil
}

func currentAddress(service *core.Service) string {
	if ingress := service.Status.LoadBalancer.Ingress; len(ingress) > 0 {
		return ingress[0].IP
	}
	return ""
}

func write(ctx context.Context, client kubernetes.Interface, owner types.NamespacedName, address string) error {
	var ingress []core.LoadBalancerIngress
	if address != "" {
		mode := core.LoadBalancerIPModeVIP
		ingress = []core.LoadBalancerIngress{{IP: address, IPMode: &mode}}
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": map[string]any{"ingress": ingress}}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Services(owner.Namespace).
		Patch(ctx, owner.Name, types.MergePatchType, patch, meta.PatchOptions{}, "status")
	return err
}
