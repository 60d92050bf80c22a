import Foundation
import TestSupport
import Testing
import WorkerCore

@Suite("Energy")
struct EnergyTests {
  private static let range: UInt64 = 262_143_328_850

  private static func package(
    _ joules: Double, _ number: Int = 0, zone: String? = nil
  ) -> EnergyCounter {
    EnergyCounter(
      zone: zone ?? "intel-rapl:\(number)", name: "package-\(number)",
      microjoules: UInt64(joules * 1e6), rangeMicrojoules: range)
  }

  private static func part(_ name: String, _ zone: String, _ joules: Double) -> EnergyCounter {
    EnergyCounter(
      zone: zone, name: name, microjoules: UInt64(joules * 1e6), rangeMicrojoules: range)
  }

  private static func sample(
    _ seconds: Double, busy: Double, own: Double, _ counters: [EnergyCounter] = []
  ) -> EnergyMeter.Sample {
    EnergyMeter.Sample(
      at: .origin + .seconds(seconds), busySeconds: busy, ownSeconds: own, counters: counters)
  }

  /// What a meter tells of the time between two samples.
  private static func use(_ first: EnergyMeter.Sample, _ second: EnergyMeter.Sample) -> EnergyUse {
    var meter = EnergyMeter()
    #expect(meter.add(first, wattsPerCore: 6) == EnergyUse())
    return meter.add(second, wattsPerCore: 6)
  }

  @Test("packages and their memory are added up, nothing is counted twice")
  func additive() {
    let counters = [
      Self.part("psys", "intel-rapl:9", 1), Self.part("dram", "intel-rapl:0:2", 1),
      Self.part("core", "intel-rapl:0:0", 1), Self.part("uncore", "intel-rapl:0:1", 1),
      Self.package(1, 0, zone: "intel-rapl-mmio:0"), Self.package(1, 1), Self.package(1, 0),
      Self.part("dram", "intel-rapl-mmio:0:0", 1),
    ]
    for _ in 0..<10 {
      #expect(
        EnergyCounter.additive(counters.shuffled()).map(\.zone)
          == ["intel-rapl:0", "intel-rapl:1", "intel-rapl:0:2"])
    }
    // A platform without packages; a part whose package is not shown.
    let platform = Self.part("psys", "intel-rapl:1", 1)
    #expect(
      EnergyCounter.additive([Self.part("dram", "intel-rapl:0:0", 1), platform]) == [platform])
    #expect(EnergyCounter.additive([Self.part("core", "intel-rapl:0:0", 1)]) == [])
  }

  @Test("the worker's part of what is measured is its share of the busy time")
  func share() {
    let used = Self.use(
      Self.sample(0, busy: 100, own: 50, [Self.package(10), Self.package(5, 1)]),
      Self.sample(1, busy: 104, own: 51, [Self.package(40), Self.package(15, 1)]))
    #expect(used == EnergyUse(joules: 10))
    // Its own time comes in other portions than the machine's: never more than everything.
    let all = Self.use(
      Self.sample(0, busy: 100, own: 50, [Self.package(10)]),
      Self.sample(1, busy: 100.9, own: 51, [Self.package(40)]))
    #expect(all == EnergyUse(joules: 30))
    let none = Self.use(
      Self.sample(0, busy: 100, own: 50, [Self.package(10)]),
      Self.sample(1, busy: 104, own: 50, [Self.package(40)]))
    #expect(none == EnergyUse())
  }

  @Test("a counter that went round is read on")
  func wrap() {
    let end = Double(Self.range) / 1e6
    let used = Self.use(
      Self.sample(0, busy: 0, own: 0, [Self.package(end - 7)]),
      Self.sample(1, busy: 2, own: 2, [Self.package(5)]))
    #expect(abs(used.joules - 12) < 1e-5)
    #expect(!used.isEstimated)
  }

  @Test("where the counters do not tell, it is an estimate")
  func estimate() {
    let estimate = EnergyUse(joules: 9, estimatedJoules: 9)
    func second(_ counters: [EnergyCounter]) -> EnergyMeter.Sample {
      Self.sample(1, busy: 4, own: 1.5, counters)
    }
    let first = Self.sample(0, busy: 0, own: 0, [Self.package(10)])
    #expect(Self.use(Self.sample(0, busy: 0, own: 0), second([])) == estimate)
    // One that came, went, changed its range, or was set back by a pause of the machine.
    #expect(Self.use(Self.sample(0, busy: 0, own: 0), second([Self.package(20)])) == estimate)
    #expect(Self.use(first, second([])) == estimate)
    #expect(Self.use(first, second([Self.package(20), Self.package(20, 1)])) == estimate)
    var other = Self.package(20)
    other.rangeMicrojoules = 1000
    #expect(Self.use(first, second([other])) == estimate)
    #expect(Self.use(first, second([Self.package(1)])) == estimate)
    // So long that it may have gone round unseen.
    let late = Self.use(first, Self.sample(3600, busy: 4, own: 1.5, [Self.package(20)]))
    #expect(late == estimate)
    // What lies in a pause is not the worker's.
    var meter = EnergyMeter()
    _ = meter.add(first, wattsPerCore: 6)
    meter.pause()
    #expect(meter.add(second([Self.package(20)]), wattsPerCore: 6) == EnergyUse())
  }

  @Test("whatever a machine shows, each interval is a sane amount and the sum is the counters'")
  func seeds() {
    for seed in testSeeds(50) {
      var random = SeededRandom(seed: seed)
      var meter = EnergyMeter()
      var total = 0.0
      var truth = 0.0
      var (busy, own, now) = (0.0, 0.0, 0.0)
      var raw: [UInt64] = [random.next() % Self.range, random.next() % Self.range]
      for step in 0..<200 {
        if step > 0 {
          let seconds = Double.random(in: 0.5...30, using: &random)
          let used = Double.random(in: 0...(2 * seconds), using: &random)
          let others = Double.random(in: 0...(2 * seconds), using: &random)
          now += seconds
          own += used
          busy += used + others
          for index in raw.indices {
            let joules = Double.random(in: 0...(200 * seconds), using: &random)
            raw[index] = (raw[index] + UInt64(joules * 1e6)) % (Self.range + 1)
            truth += used > 0 ? joules * used / (used + others) : 0
          }
        }
        let use = meter.add(
          Self.sample(
            now, busy: busy, own: own,
            raw.enumerated().map { index, value in
              var counter = Self.package(0, index)
              counter.microjoules = value
              return counter
            }), wattsPerCore: 6)
        #expect(use.joules >= 0, "seed \(seed)")
        #expect(!use.isEstimated, "seed \(seed)")
        total += use.joules
      }
      #expect(abs(total - truth) < 1, "seed \(seed): \(total) of \(truth)")
    }
  }

  @Test("a ledger keeps totals, days and held units, over its file too")
  func ledger() throws {
    var ledger = EnergyLedger()
    let first = CivilDay(unixSeconds: 1_800_000_000)
    let second = CivilDay(unixSeconds: 1_800_000_000 + 86_400)
    let use = EnergyUse(joules: 4, estimatedJoules: 1)
    ledger.add(use, leases: ["a"], on: first)
    ledger.add(use, leases: ["a", "b"], on: second)
    ledger = try JSONDecoder().decode(EnergyLedger.self, from: JSONEncoder().encode(ledger))
    #expect(ledger.total == use + use)
    #expect(ledger.use(on: first) == use)
    #expect(ledger.use(on: second) == use)
    #expect(ledger.use(ofLease: "a") == EnergyUse(joules: 6, estimatedJoules: 1.5))
    ledger.forget(lease: "a")
    #expect(ledger.use(ofLease: "a") == EnergyUse())
    #expect(ledger.use(ofLease: "b").joules == 2)
    for number in 0..<1000 {
      ledger.add(
        use, leases: ["unit \(number)"], on: CivilDay(unixSeconds: 86_400 * (40_000 + number)))
    }
    #expect(ledger.total.joules == 4008)
    #expect(ledger.use(on: first) == EnergyUse())
    #expect(try JSONEncoder().encode(ledger).count < 1 << 17)
    for text in [
      #"{"total":{"joules":-1,"estimated_joules":0},"days":{},"units":[]}"#,
      #"{"total":{"joules":1,"estimated_joules":2},"days":{},"units":[]}"#,
    ] {
      #expect(throws: DecodingError.self) {
        try JSONDecoder().decode(EnergyLedger.self, from: Data(text.utf8))
      }
    }
  }

  @Test("days are those of the calendar")
  func days() {
    for (seconds, day) in [
      (0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_800_000_000, "2027-01-15"),
      (4_107_542_399, "2100-02-28"), (4_107_542_400, "2100-03-01"), (-1, "1969-12-31"),
    ] { #expect(CivilDay(unixSeconds: seconds).spelled == day) }
  }

  @Test("power is that of the last seconds")
  func power() throws {
    var power = PowerReading()
    #expect(power.watts == nil)
    for _ in 0..<60 { power.add(EnergyUse(joules: 12), seconds: 1) }
    let steady = try #require(power.watts)
    #expect(abs(steady - 12) < 1e-9)
    for _ in 0..<60 { power.add(EnergyUse(joules: 30), seconds: 1) }
    let risen = try #require(power.watts)
    #expect(abs(risen - 30) < 0.01)
  }
}
