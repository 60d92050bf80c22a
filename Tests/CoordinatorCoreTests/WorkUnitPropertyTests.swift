import CoordinatorCore
import TestSupport
import Testing
import WireProtocol

/// Random lives of units: whatever happens in whatever order, the promises hold.
@Suite("Work units, random lives")
struct WorkUnitPropertyTests {
  let policy = CoordinatorPolicy()

  @Test("nothing is completed or paid twice, nothing wrong is paid, no unit forgets its result")
  func randomLives() {
    for seed in testSeeds(400) {
      var life = Life(seed: seed, policy)
      for _ in 0..<60 { life.step() }
      life.check()
    }
  }
}

private struct Life {
  var random: SeededRandom
  var unit: WorkUnit
  let policy: CoordinatorPolicy
  var leases: Int64 = 0
  var completions = 0
  var failures = 0
  var granted: Set<Int64> = []
  var rejected: Set<Int64> = []
  var refuted: Set<Int64> = []
  var accepted: Acceptance?

  init(seed: UInt64, _ policy: CoordinatorPolicy) {
    random = SeededRandom(seed: seed)
    unit = WorkUnit(pool: random.chance(0.3) ? .trusted : .public)
    self.policy = policy
  }

  mutating func step() {
    let known = Int64.random(in: 1...max(1, leases + 1), using: &random)
    let result = random.chance(0.7) ? truth : lie
    switch Int.random(in: 0..<10, using: &random) {
    case 0...2:
      let account = "account-\(Int.random(in: 0..<4, using: &random))"
      guard unit.mayLease(account: account) else { return }
      leases += 1
      let worker = "\(account)-worker-\(Int.random(in: 0..<2, using: &random))"
      unit.lease(leases, worker: worker, account: account, until: noon)
    case 3...5: perform(unit.submit(known, result: result))
    case 6:
      let endings: [Replica.State] = [
        .expired, .abandoned(.failed), .abandoned(.invalidUnit), .abandoned(.invalidUnit),
      ]
      let actions = unit.lose(
        known, as: endings[Int.random(in: 0..<endings.count, using: &random)], among: 2, policy)
      if unit.pool == .public {
        #expect(actions.isEmpty, "seed \(random.seed): strangers' words ended a unit")
      }
      perform(actions)
    case 7:
      guard let worker = unit.replicas.randomElement(using: &random)?.worker else { return }
      if random.chance(0.3) { perform(unit.takeBack(worker: worker)) }
    case 8:
      switch random.next() % 4 {
      case 0: perform(unit.failReplay(reason: "none", policy))
      case 1:
        perform(unit.audit(truth: truth))
        if case .accepted(let acceptance) = unit.state { accepted = acceptance }
      default: perform(unit.settle(byReplay: truth))
      }
    default: if random.chance(0.03) { unit.cancel() }
    }
  }

  private mutating func perform(_ actions: [WorkUnit.Action]) {
    for action in actions {
      switch action {
      case .complete(let acceptance):
        completions += 1
        accepted = acceptance
      case .fail: failures += 1
      case .grant(let replica):
        #expect(granted.insert(replica).inserted, "seed \(random.seed): paid twice")
      case .revoke(let replica):
        #expect(granted.remove(replica) != nil, "seed \(random.seed): revoked what was not paid")
        #expect(rejected.insert(replica).inserted, "seed \(random.seed): rejected twice")
      case .refute(let replica):
        let refused = unit.replicas.first { $0.id == replica }
        #expect(refused?.isRefusal == true, "seed \(random.seed): refuted what was not refused")
        #expect(refuted.insert(replica).inserted, "seed \(random.seed): refuted twice")
      case .reject(let replica):
        #expect(rejected.insert(replica).inserted, "seed \(random.seed): rejected twice")
      }
    }
  }

  func check() {
    let seed = random.seed
    #expect(completions + failures <= 1, "seed \(seed)")
    #expect(granted.isDisjoint(with: rejected), "seed \(seed)")
    if let accepted {
      #expect(unit.state == .accepted(accepted), "seed \(seed)")
      // Two liars who agree are believed: that is what a quorum can promise. A replay is always
      // right.
      if accepted.verification == .replay { #expect(accepted.result == truth, "seed \(seed)") }
    }
    for replica in unit.replicas {
      let isRight = replica.result == accepted?.result && accepted != nil
      if granted.contains(replica.id) { #expect(isRight, "seed \(seed)") }
      if rejected.contains(replica.id) { #expect(!isRight, "seed \(seed)") }
      #expect((replica.state == .accepted) == granted.contains(replica.id), "seed \(seed)")
      #expect((replica.state == .rejected) == rejected.contains(replica.id), "seed \(seed)")
    }
    #expect(unit.missing >= 0, "seed \(seed)")
    let paid = unit.replicas.filter { $0.state == .accepted }.map(\.account)
    #expect(Set(paid).count == paid.count, "seed \(seed): an account paid twice for one unit")
  }
}
