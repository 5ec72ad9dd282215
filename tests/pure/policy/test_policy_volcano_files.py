"""Are configurations as people have them, and as Volcano's own pages show them, read as they are?

In the spellings of Volcano's installer, tests and user guides; what is wrong there by indentation is put right here.
"""

import pytest
import yaml

from flowbatch.policy.describe import describe
from flowbatch.policy.volcano import read_volcano

FILES = {
    "installer": """
actions: "enqueue, allocate, backfill"
tiers:
- plugins:
  - name: priority
  - name: gang
    enablePreemptable: false
  - name: conformance
- plugins:
  - name: overcommit
  - name: drf
    enablePreemptable: false
  - name: predicates
  - name: proportion
  - name: nodeorder
  - name: binpack
""",
    "end to end tests": """
actions: "enqueue, reclaim, allocate, backfill, preempt"
tiers:
- plugins:
  - name: priority
  - name: gang
  - name: conformance
  - name: sla
- plugins:
  - name: overcommit
  - name: drf
  - name: predicates
    arguments:
      predicate.VolumeBindingEnable: true
  - name: proportion
  - name: nodeorder
  - name: binpack
  - name: network-topology-aware
    enabledHyperNodeOrder: true
    enabledHyperNodeGradient: true
""",
    "queues with capacity and hierarchy": """
actions: "enqueue, allocate, preempt, reclaim, backfill"
tiers:
- plugins:
  - name: priority
  - name: gang
    enablePreemptable: false
  - name: conformance
- plugins:
  - name: drf
    enablePreemptable: false
  - name: predicates
  - name: capacity
    enableHierarchy: true
  - name: nodeorder
""",
    "hdrf": """
actions: "enqueue, reclaim, allocate"
tiers:
- plugins:
  - name: priority
  - name: gang
- plugins:
  - name: drf
    enableHierarchy: true
  - name: predicates
  - name: nodeorder
""",
    "binpack with scarce devices": """
actions: "enqueue, reclaim, allocate, backfill, preempt"
tiers:
- plugins:
  - name: binpack
    arguments:
      binpack.weight: 10
      binpack.cpu: 5
      binpack.memory: 1
      binpack.resources: nvidia.com/gpu, example.com/foo
      binpack.resources.nvidia.com/gpu: 2
      binpack.resources.example.com/foo: 3
  - name: predicates
    arguments:
      predicate.CacheEnable: "true"
""",
    "shared devices": """
actions: "enqueue, allocate, backfill"
tiers:
- plugins:
  - name: priority
  - name: gang
  - name: conformance
- plugins:
  - name: drf
  - name: deviceshare
    arguments:
      deviceshare.VGPUEnable: true
      deviceshare.SchedulePolicy: binpack
  - name: predicates
  - name: proportion
  - name: nodeorder
""",
    "measured use": """
actions: "enqueue, allocate, backfill"
tiers:
- plugins:
  - name: priority
  - name: gang
  - name: conformance
  - name: usage
    enablePredicate: false
    arguments:
      usage.weight: 5
      cpu.weight: 1
      memory.weight: 1
      thresholds:
        cpu: 80
        mem: 80
- plugins:
  - name: overcommit
  - name: drf
  - name: predicates
  - name: proportion
  - name: nodeorder
  - name: binpack
metrics:
  type: prometheus
  address: http://192.168.0.10:9090
  interval: 30s
""",
    "elastic search": """
actions: "enqueue, allocate"
tiers: [{plugins: [{name: usage, arguments: {thresholds: {cpu: 70}}}]}]
metrics:
  type: elasticsearch
  address: http://192.168.0.10:9200
  interval: 30s
  tls.insecureSkipVerify: "false"
  elasticsearch.index: "custom-index-name"
  elasticsearch.username: ""
  elasticsearch.password: ""
  elasticsearch.hostnameFieldName: "host.hostname"
""",
    "hours of the day": """
actions: "enqueue, reclaim, allocate, preempt"
tiers:
- plugins:
  - name: tdm
    arguments:
      tdm.revocable-zone.rz1: 10:00-21:00
      tdm.revocable-zone.rz2: 12:00-14:00
      tdm.evict.period: 1m
""",
    "waiting time": """
actions: "enqueue, allocate, backfill"
tiers:
- plugins:
  - name: priority
  - name: gang
  - name: sla
    arguments:
      sla-waiting-time: 1h2m3s
- plugins:
  - name: overcommit
    arguments: {overcommit-factor: "1.5"}
""",
    "extender": """
actions: "reclaim, allocate, backfill, preempt"
tiers:
- plugins:
  - name: priority
  - name: gang
  - name: conformance
- plugins:
  - name: drf
  - name: predicates
  - name: extender
    arguments:
      extender.urlPrefix: http://127.0.0.1:8713
      extender.httpTimeout: 100ms
      extender.onSessionOpenVerb: onSessionOpen
      extender.onSessionCloseVerb: onSessionClose
      extender.predicateVerb: predicate
      extender.prioritizeVerb: prioritize
      extender.preemptableVerb: preemptable
      extender.reclaimableVerb: reclaimable
      extender.queueOverusedVerb: queueOverused
      extender.jobEnqueueableVerb: jobEnqueueable
      extender.jobReadyVerb: jobReady
      extender.allocateFuncVerb: allocateFunc
      extender.deallocateFuncVerb: deallocateFunc
      extender.ignorable: true
      extender.managedResources:
      - nvidia.com/gpu
      - nvidia.com/gpumem
  - name: proportion
  - name: nodeorder
""",
    "node groups": """
actions: "allocate, backfill, preempt, reclaim"
tiers:
- plugins:
  - name: priority
  - name: gang
  - name: conformance
- plugins:
  - name: drf
  - name: predicates
  - name: nodegroup
    enablePredicate: true
    enableNodeOrder: true
    arguments: {strict: false}
""",
    "network topology": """
actions: "enqueue, allocate, backfill"
tiers:
- plugins:
  - name: priority
  - name: gang
- plugins:
  - name: predicates
  - name: proportion
  - name: nodeorder
  - name: binpack
  - name: network-topology-aware
    arguments:
      weight: 10
""",
    "tasks side by side": """
actions: "enqueue, allocate, backfill"
tiers: [{plugins: [{name: priority}, {name: gang}, {name: task-topology}]}]
""",
    "rescheduling": """
actions: "enqueue, allocate, backfill, shuffle"
tiers:
- plugins:
  - name: priority
  - name: gang
  - name: conformance
  - name: rescheduling
    arguments:
      interval: 5m
      strategies:
      - name: lowNodeUtilization
        params:
          thresholds: {cpu: 20, memory: 20, pods: 20}
          targetThresholds: {cpu: 50, memory: 50, pods: 50}
""",
    "gangs make room": """
actions: "enqueue, allocate, gangpreempt, gangreclaim, backfill"
configurations:
- name: gangpreempt
  arguments:
    allowWholeBundle: false
- name: allocate
  arguments: {enablePredicateErrorCache: true}
tiers:
- plugins: [{name: priority}, {name: gang}, {name: conformance}, {name: cdp}, {name: pdb}, {name: resourcequota}]
""",
    "resources by strategy": """
actions: "enqueue, allocate, backfill"
tiers:
- plugins:
  - name: resource-strategy-fit
    arguments:
      resourceStrategyFitWeight: 10
      resources:
        nvidia.com/gpu: {type: MostAllocated, weight: 2}
        cpu: {type: LeastAllocated, weight: 1}
""",
}


@pytest.mark.parametrize("name", FILES)
def test_a_configuration_as_people_have_it_is_read_as_it_is(name):
    policy = read_volcano(yaml.safe_load(FILES[name]))
    shown = yaml.safe_dump(describe(policy), sort_keys=False)
    assert yaml.safe_load(shown)["actions"] == list(policy.actions)
    assert "password" not in shown
    assert "object at 0x" not in shown
