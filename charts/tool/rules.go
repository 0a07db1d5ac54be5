package main

import (
	"fmt"
	"slices"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	security "k8s.io/pod-security-admission/api"
	standards "k8s.io/pod-security-admission/policy"
)

// checkRights says where a role allows more than it must name, and where it allows less than the watched kinds need.
func checkRights(set *Set) []error {
	clusterRoles, roles := of[*rbac.ClusterRole](set), of[*rbac.Role](set)
	if len(clusterRoles)+len(roles) == 0 {
		return nil // rbac.create is false.
	}
	var problems []error
	allowed := map[schema.GroupResource][]string{}
	for _, role := range clusterRoles {
		problems = append(problems, excesses(role.Name, role.Rules, nil)...)
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, group := range rule.APIGroups {
					key := schema.GroupResource{Group: group, Resource: resource}
					allowed[key] = append(allowed[key], rule.Verbs...)
				}
			}
		}
	}
	for _, role := range roles {
		problems = append(problems, excesses(role.Name, role.Rules, []string{"create"})...)
	}
	for _, definition := range set.definitions {
		kind := schema.GroupResource{Group: definition.Spec.Group, Resource: definition.Spec.Names.Plural}
		status := schema.GroupResource{Group: kind.Group, Resource: kind.Resource + "/status"}
		needed := map[schema.GroupResource][]string{kind: {"get", "list", "watch"}}
		if subresources(definition) {
			needed[status] = []string{"patch"}
		}
		for resource, verbs := range needed {
			for _, verb := range verbs {
				if !slices.Contains(allowed[resource], verb) {
					problems = append(problems, fmt.Errorf("no role allows to %s %s", verb, resource))
				}
			}
		}
	}
	return problems
}

// excesses names wildcards, rights that lead to others, and Secrets that may be written without being named.
func excesses(name string, rules []rbac.PolicyRule, unnamed []string) []error {
	var problems []error
	for _, rule := range rules {
		if words := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs); slices.ContainsFunc(
			words, func(word string) bool { return strings.Contains(word, "*") }) {
			problems = append(problems, fmt.Errorf("%s: a wildcard in %v", name, words))
		}
		for _, verb := range rule.Verbs {
			if slices.Contains([]string{"escalate", "bind", "impersonate", "deletecollection"}, verb) {
				problems = append(problems, fmt.Errorf("%s: may %s", name, verb))
			}
			reads := slices.Contains([]string{"get", "list", "watch"}, verb)
			if slices.Contains(rule.Resources, "secrets") && !reads && len(rule.ResourceNames) == 0 && !slices.Contains(unnamed, verb) {
				problems = append(problems, fmt.Errorf("%s: may %s any Secret", name, verb))
			}
		}
		for _, resource := range rule.Resources {
			if slices.Contains([]string{"pods", "pods/exec", "nodes", "serviceaccounts/token", "clusterroles", "roles"}, resource) {
				problems = append(problems, fmt.Errorf("%s: may %v %s", name, rule.Verbs, resource))
			}
		}
	}
	return problems
}

// checkPods evaluates the restricted Pod Security Standard.
func checkPods(set *Set) []error {
	evaluator, err := standards.NewEvaluator(standards.DefaultChecks(), nil)
	if err != nil {
		return []error{err}
	}
	var problems []error
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	for _, deployment := range of[*apps.Deployment](set) {
		template := deployment.Spec.Template
		for _, result := range evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec) {
			if !result.Allowed {
				problems = append(problems, fmt.Errorf("%s: %s (%s)", deployment.Name, result.ForbiddenReason, result.ForbiddenDetail))
			}
		}
		for _, container := range template.Spec.Containers {
			context := container.SecurityContext
			if context == nil || context.ReadOnlyRootFilesystem == nil || !*context.ReadOnlyRootFilesystem {
				problems = append(problems, fmt.Errorf("%s: the root file system of %s can be written", deployment.Name, container.Name))
			}
		}
	}
	return problems
}

// checkReferences follows what manifests say of each other: selectors, ports, service accounts, roles.
func checkReferences(set *Set) []error {
	deployments := of[*apps.Deployment](set)
	if len(deployments) != 1 {
		return []error{fmt.Errorf("%d Deployments", len(deployments))}
	}
	deployment := deployments[0]
	pod := deployment.Spec.Template
	var problems []error
	selects := func(what string, selector *meta.LabelSelector, have map[string]string) {
		if chosen, err := meta.LabelSelectorAsSelector(selector); err != nil || selector == nil || !chosen.Matches(labels.Set(have)) {
			problems = append(problems, fmt.Errorf("%s selects nothing", what))
		}
	}
	ports := map[string]bool{}
	for _, port := range pod.Spec.Containers[0].Ports {
		ports[port.Name] = true
	}
	selects("Deployment", deployment.Spec.Selector, pod.Labels)
	for _, constraint := range pod.Spec.TopologySpreadConstraints {
		selects("topology spread constraint", constraint.LabelSelector, pod.Labels)
	}
	for _, budget := range of[*policy.PodDisruptionBudget](set) {
		selects("PodDisruptionBudget", budget.Spec.Selector, pod.Labels)
	}
	for _, policy := range of[*networking.NetworkPolicy](set) {
		selects("NetworkPolicy", &policy.Spec.PodSelector, pod.Labels)
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				if !ports[port.Port.String()] {
					problems = append(problems, fmt.Errorf("NetworkPolicy names the port %s, which is not there", port.Port))
				}
			}
		}
	}
	services := of[*core.Service](set)
	for _, service := range services {
		selects("Service "+service.Name, &meta.LabelSelector{MatchLabels: service.Spec.Selector}, pod.Labels)
		for _, port := range service.Spec.Ports {
			if !ports[port.TargetPort.String()] {
				problems = append(problems, fmt.Errorf("Service %s names the port %s, which is not there", service.Name, &port.TargetPort))
			}
		}
	}
	for _, monitor := range of[*monitoring.ServiceMonitor](set) {
		matching := slices.DeleteFunc(slices.Clone(services), func(service *core.Service) bool {
			chosen, err := meta.LabelSelectorAsSelector(&monitor.Spec.Selector)
			return err != nil || !chosen.Matches(labels.Set(service.Labels))
		})
		if len(matching) != 1 || matching[0].Spec.Ports[0].Name != monitor.Spec.Endpoints[0].Port {
			problems = append(problems, fmt.Errorf("ServiceMonitor selects %d Services, or another port", len(matching)))
		}
	}
	return append(problems, checkSubjects(set, &pod)...)
}

// checkSubjects follows service accounts and roles.
func checkSubjects(set *Set, pod *core.PodTemplateSpec) []error {
	var problems []error
	account := pod.Spec.ServiceAccountName
	for _, made := range of[*core.ServiceAccount](set) {
		if made.Name != account {
			problems = append(problems, fmt.Errorf("the pods run as %s, not %s", account, made.Name))
		}
	}
	roles, bound := map[string]bool{}, map[string]bool{}
	for _, role := range of[*rbac.ClusterRole](set) {
		roles["ClusterRole "+role.Name] = true
	}
	for _, role := range of[*rbac.Role](set) {
		roles["Role "+role.Name] = true
	}
	bind := func(role rbac.RoleRef, subjects []rbac.Subject) {
		name := role.Kind + " " + role.Name
		bound[name] = true
		if !roles[name] {
			problems = append(problems, fmt.Errorf("%s is bound, but not there", name))
		}
		if len(subjects) != 1 || subjects[0].Name != account {
			problems = append(problems, fmt.Errorf("%s is bound to %v, not %s", name, subjects, account))
		}
	}
	for _, binding := range of[*rbac.ClusterRoleBinding](set) {
		bind(binding.RoleRef, binding.Subjects)
	}
	for _, binding := range of[*rbac.RoleBinding](set) {
		bind(binding.RoleRef, binding.Subjects)
	}
	for name := range roles {
		if !bound[name] {
			problems = append(problems, fmt.Errorf("%s is bound to nobody", name))
		}
	}
	return problems
}
