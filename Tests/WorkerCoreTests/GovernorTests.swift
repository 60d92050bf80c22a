import Testing
import WorkerCore

@Suite struct GovernorTests {
  /// Nobody there, nothing else running, plugged in, Wednesday noon.
  private var quiet: Surroundings {
    var around = Surroundings()
    around.idleSeconds = 3600
    around.otherLoad = 0
    around.temperatureCelsius = 50
    (around.weekday, around.minuteOfDay) = (3, 12 * 60)
    around.memoryBytes = 10_000
    return around
  }

  private func governor(_ change: (inout WorkerPreferences) -> Void = { _ in }) -> Governor {
    var preferences = WorkerPreferences()
    change(&preferences)
    return Governor(preferences: preferences)
  }

  private func at(_ seconds: Int) -> Moment { .origin + .seconds(seconds) }

  @Test func computesOnAQuietMachineWithWhatTheOwnerGives() {
    var governor = governor {
      $0.cpuPercent = 40
      $0.threads = 3
    }
    var expected = Allowance(pauses: [], cpuShare: 0.4, threads: 3, memoryBytes: 9000)
    expected.disk = DiskLimits(percent: 90, freeBytes: 1_000_000_000)
    #expect(governor.decide(quiet, at: at(0)) == expected)
  }

  @Test func whatCannotBeSeenLimitsNothingButMemory() {
    var governor = governor {
      $0.computesInUse = false
      $0.temperatureCelsius = 60
    }
    var around = Surroundings()
    around.memoryBytes = 10_000
    let allowance = governor.decide(around, at: at(0))
    #expect(allowance.computes)
    #expect(allowance.memoryBytes == 5000)
  }

  @Test(arguments: [(179.0, false), (180.0, true)])
  func peopleAreAtTheMachineUntilTheyHaveBeenIdle(idle: Double, computes: Bool) {
    var around = quiet
    around.idleSeconds = idle
    var strict = governor { $0.computesInUse = false }
    #expect(strict.decide(around, at: at(0)).computes == computes)
    #expect(strict.decide(around, at: at(0)).memoryBytes == (computes ? 9000 : 5000))
    var lax = governor()
    #expect(lax.decide(around, at: at(0)).computes)
  }

  @Test func givesWayToOtherProgramsAtOnceAndReturnsAfterACalm() {
    var governor = governor()
    var around = quiet
    #expect(governor.decide(around, at: at(0)).computes)
    around.otherLoad = 0.26
    #expect(
      governor.decide(around, at: at(1)).pauses == [.otherLoad(percent: 26, limit: 25)])
    around.otherLoad = 0.1
    #expect(!governor.decide(around, at: at(2)).computes)
    #expect(!governor.decide(around, at: at(10)).computes)
    #expect(governor.decide(around, at: at(11)).computes)
    governor.preferences.otherLoadPercent = 0
    around.otherLoad = 1
    #expect(governor.decide(around, at: at(12)).computes)
  }

  @Test func workersThatStoppedForEachOtherGoOnOneAfterTheOther() {
    var loaded = quiet
    loaded.otherLoad = 0.5
    let ends = [10_000, 11_300].map { calm -> Int? in
      var governor = Governor(preferences: WorkerPreferences(), calm: .milliseconds(calm))
      _ = governor.decide(loaded, at: at(0))
      return (1...20).first { governor.decide(quiet, at: at($0)).computes }
    }
    #expect(ends == [10, 12])
  }

  @Test func itTakesTheLeastOfTheOwnersThreadsAndTheMachines() {
    var around = quiet
    around.threads = 2
    var governor = governor()
    #expect(governor.decide(around, at: at(0)).threads == 2)
    governor.preferences.threads = 1
    #expect(governor.decide(around, at: at(1)).threads == 1)
    governor.preferences.threads = 3
    #expect(governor.decide(around, at: at(2)).threads == 2)
  }

  @Test func coolsDownBeforeItGoesOn() {
    var governor = governor { $0.temperatureCelsius = 80 }
    var around = quiet
    around.temperatureCelsius = 81
    #expect(governor.decide(around, at: at(0)).pauses == [.temperature(celsius: 81, limit: 80)])
    // Just below the limit is not cool: it would be hot again at once.
    around.temperatureCelsius = 78
    for second in 1...30 { #expect(!governor.decide(around, at: at(second)).computes) }
    around.temperatureCelsius = 76
    #expect(!governor.decide(around, at: at(31)).computes)
    #expect(governor.decide(around, at: at(41)).computes)
  }

  @Test func restsOnBatteryUnlessItMay() {
    var around = quiet
    around.isOnBattery = true
    var governor = governor()
    #expect(governor.decide(around, at: at(0)).pauses == [.battery])
    governor.preferences.computesOnBattery = true
    #expect(governor.decide(around, at: at(1)).computes)
  }

  @Test func theOwnersWordGoesBeforeEverything() {
    var governor = governor()
    governor.order = .pause(until: at(60))
    #expect(governor.decide(quiet, at: at(59)).pauses == [.owner(until: at(60))])
    #expect(governor.decide(quiet, at: at(60)).computes)
    #expect(governor.order == .none)
    governor.order = .pause(until: nil)
    #expect(!governor.decide(quiet, at: at(1_000_000)).computes)
  }

  @Test func alwaysOverridesWhenButNotHowMuch() throws {
    var governor = governor {
      $0.cpuPercent = 30
      $0.computesInUse = false
      $0.temperatureCelsius = 80
      $0.hours = .never
    }
    governor.order = .always
    var around = quiet
    around.idleSeconds = 0
    around.otherLoad = 1
    around.isOnBattery = true
    let allowance = governor.decide(around, at: at(0))
    #expect(allowance.computes)
    #expect(allowance.cpuShare == 0.3)
    around.temperatureCelsius = 90
    #expect(!governor.decide(around, at: at(1)).computes)
  }

  @Test func restsWhileElectricityIsDear() throws {
    let dear = try WeeklyHours("mon-fri 12:00-13:00")
    var governor = governor { $0.tariffHours = dear }
    var around = quiet
    let pauses = governor.decide(around, at: at(0)).pauses
    #expect(
      pauses.map { $0.words(at: at(0)) }
        == ["electricity is dear at this hour (mon-fri 12:00-13:00)"])
    around.minuteOfDay += 60
    #expect(governor.decide(around, at: at(1)).computes)
    governor.order = .always
    around.minuteOfDay -= 60
    #expect(governor.decide(around, at: at(2)).computes)
  }

  static let loginAnswers: [(String, Double?)] = [
    (#"{"type":"b","data":false}\#n{"type":"t","data":0}"#, 0),
    (#"{"type":"b","data":true}\#n{"type":"t","data":940000000}\#n"#, 60),
    // The clock was set back since.
    (#"{"type":"b","data":true}\#n{"type":"t","data":18446744073709551615}"#, 0),
    (#"{"type":"b","data":true}\#n{"type":"t","data":-1}"#, nil),
    (#"{"type":"b","data":true}\#n{"type":"t","data":1e40}"#, nil),
    (#"{"type":"b","data":true}"#, nil), (#"{"type":"s","data":true}\#n{}"#, nil), ("", nil),
    ("\n\n", nil), ("[]\n[]", nil), ("Failed to connect to bus\nNo such file", nil),
    (String(repeating: "[", count: 100_000), nil),
  ]

  @Test(arguments: loginAnswers)
  func readsWhatTheLoginManagerSays(answer: String, seconds: Double?) {
    #expect(IdleHint.idleSeconds(answer, now: 1000) == seconds)
  }

  @Test func givesWayWhenEverythingWaitsForMemory() {
    var governor = governor { $0.cpuPressurePercent = 40 }
    var around = quiet
    around.memoryPressure = 10
    around.cpuPressure = 40
    #expect(governor.decide(around, at: at(0)).computes)
    around.memoryPressure = 10.01
    around.cpuPressure = 99
    #expect(
      governor.decide(around, at: at(1)).pauses == [
        .cpuPressure(percent: 99, limit: 40), .memoryPressure(percent: 11, limit: 10),
      ])
    around.memoryPressure = 0
    around.cpuPressure = 0
    #expect(!governor.decide(around, at: at(10)).computes)
    #expect(governor.decide(around, at: at(11)).computes)
    around.memoryPressure = 100
    governor.preferences.memoryPressurePercent = 0
    #expect(governor.decide(around, at: at(30)).computes)
  }

  @Test(arguments: [
    (
      "some avg10=1.53 avg60=0.87 avg300=0.20 total=94\nfull avg10=12.00 avg60=0 avg300=0 total=1",
      12.0
    ),
    ("full avg10=0.00", 0), ("", nil), ("full", nil), ("full avg60=3", nil), ("full avg10=", nil),
    ("full avg10=nan", nil), ("full avg10=inf", nil), ("full avg10=-1", nil),
    ("full avg10=101", nil),
    ("full avg10=1e999", nil), ("fuller avg10=1", nil), ("some avg10=5", nil),
    ("full avg10=x\nfull avg10=3", nil), ("\0\u{7f}full avg10=1", nil),
  ])
  func readsWhatTheKernelSaysOfPressure(text: String, percent: Double?) {
    #expect(Pressure.averageOf10("full", in: text) == percent)
  }

  @Test func everyPauseHasPlainWords() throws {
    let reasons: [PauseReason] = [
      .owner(until: nil), .owner(until: at(7200)), .hours(try WeeklyHours("mon 8:00-9:00")),
      .battery, .inUse, .otherLoad(percent: 40, limit: 25), .temperature(celsius: 90, limit: 80),
    ]
    #expect(
      reasons.map { $0.words(at: .origin) } == [
        "by its owner, until resumed", "by its owner, for 120 min more",
        "outside its hours (mon 8:00-9:00)", "the machine runs on battery",
        "somebody uses the machine", "other programs take 40 % of the processors (limit 25 %)",
        "the machine is at 90 °C (limit 80 °C)",
      ])
  }
}

@Suite struct WeeklyHoursTests {
  /// Days from Sunday, minutes since midnight.
  @Test(arguments: [
    ("always", 0, 0, true), ("never", 3, 720, false),
    ("mon-fri 22:00-07:00", 1, 22 * 60, true), ("mon-fri 22:00-07:00", 1, 22 * 60 - 1, false),
    // Monday's early morning belongs to Sunday's night, which is none.
    ("mon-fri 22:00-07:00", 1, 6 * 60, false), ("mon-fri 22:00-07:00", 6, 6 * 60 + 59, true),
    ("mon-fri 22:00-07:00", 6, 7 * 60, false), ("fri-mon 0:00-24:00", 0, 1439, true),
    ("fri-mon 0:00-24:00", 2, 0, false), ("9:30-9:31", 4, 570, true), ("9:30-9:31", 4, 571, false),
    ("Sat 1:00-2:00, tue 3:00-4:00", 2, 180, true), ("sat 23:00-01:00", 0, 30, true),
  ])
  func knowsItsMinutes(text: String, weekday: Int, minute: Int, isIn: Bool) throws {
    #expect(try WeeklyHours(text).contains(weekday: weekday, minute: minute) == isIn)
  }

  @Test(arguments: [
    "", "mon", "22:00", "mon 22-23", "25:00-26:00", "mon 8:00-8:00", "day 8:00-9:00",
    "mon tue 8:00-9:00", "8:60-9:00", "-1:00-2:00", "8:00-9:00-10:00", "8:00-24:01",
    "mon-tue-wed 1:00-2:00",
    "024:000-1:00",
  ])
  func refusesWhatItDoesNotUnderstand(text: String) {
    #expect(throws: PreferenceError.self) { try WeeklyHours(text) }
  }
}

@Suite struct PausedLifecycleTests {
  @Test func aUnitThatTakesTooMuchMemoryIsGivenBack() throws {
    var driver = LifecycleDriver()
    let excess = WorkerEvent.memoryExceeded(used: 2000, limit: 1000)
    #expect(driver.send(excess) == [])
    driver.lifecycle = LifecycleDriver().lifecycle
    driver.runUnit()
    #expect(driver.send(excess) == [.cancelRun(lease: lease(1).id)])
    #expect(driver.send(excess) == [])
    let actions = driver.send(.unitCancelled(lease: lease(1).id))
    guard case .abandon(lease(1).id, .outOfMemory, _)? = actions.first, actions.count == 1 else {
      Issue.record("\(actions)")
      return
    }
    // The next unit is not taken at once: it might do the same.
    #expect(try driver.waitForTimer() == [.requestLease(maximumUnits: 1)])
  }

  @Test func asksForNothingWhilePausedAndAtOnceAfterwards() throws {
    var driver = LifecycleDriver()
    #expect(driver.send(.leaseAnswered(.nothing)) == [])
    #expect(driver.send(.computingAllowed(false)) == [])
    #expect(driver.wait(.seconds(3600)) == [])
    #expect(driver.send(.computingAllowed(true)) == [.requestLease(maximumUnits: 1)])
  }

  @Test func aUnitThatArrivesInAPauseWaitsAndKeepsItsLease() throws {
    var driver = LifecycleDriver()
    let unit = lease(1)
    _ = driver.send(.computingAllowed(false))
    #expect(driver.send(.leaseAnswered(.units([unit]))) == [.fetch(unit)])
    #expect(driver.send(.blobsReady(lease: unit.id)) == [])
    #expect(driver.wait(.seconds(10)) == [.heartbeat(lease: unit.id)])
    #expect(driver.send(.computingAllowed(true)) == [.run(unit)])
  }

  @Test func finishingEndsWithTheResultOfTheRunningUnit() throws {
    var driver = LifecycleDriver()
    driver.runUnit()
    #expect(driver.send(.finish) == [])
    #expect(driver.send(.unitFinished(lease: lease(1).id)) == [.upload(lease: lease(1).id)])
    let actions = driver.send(.uploadAnswered(lease: lease(1).id, .taken))
    #expect(actions.last == .stop(.drained))
    #expect(!actions.contains(.requestLease(maximumUnits: 1)))
  }

  @Test func finishingDoesNotWaitForACoordinatorThatIsAway() throws {
    var driver = LifecycleDriver()
    driver.runUnit()
    _ = driver.send(.finish)
    _ = driver.send(.unitFinished(lease: lease(1).id))
    // The result stays in the data folder for the next start.
    #expect(driver.send(.uploadFailed(lease: lease(1).id, .down)) == [.stop(.drained)])
  }
}
