import Foundation
import Synchronization
import TestSupport
import Testing
import WireProtocol
import WorkerCore
import WorkerDaemon
import WorkerEngine

/// What the worker sees of its machine, and does about it.
extension LimitTests {
  @Test func itSeesTheMachineAroundIt() async throws {
    let machine = machine
    try await withIdleWorker { socket, state in
      _ = try await Self.wait(socket) { $0.paused_because.isEmpty }
      try machine.write("sys/class/power_supply/BAT0/type", "Battery")
      try machine.write("sys/class/power_supply/BAT0/status", "Discharging")
      let battery = try await Self.wait(socket) { !$0.paused_because.isEmpty }
      #expect(battery.paused_because == ["the machine runs on battery"])
      try machine.write("sys/class/power_supply/AC/type", "Mains")
      try machine.write("sys/class/power_supply/AC/online", "1")
      _ = try await Self.wait(socket) { $0.paused_because.isEmpty }
      // 60 of 100 ticks busy, 10 of them its own.
      try machine.write("proc/self/stat", FakeMachine.process(user: 5, system: 5))
      try machine.write("proc/stat", FakeMachine.processors(busy: 60, idle: 40))
      let loaded = try await Self.wait(socket) { !$0.paused_because.isEmpty }
      #expect(
        loaded.paused_because == ["other programs take 50 % of the processors (limit 25 %)"])
      // While paused it asks for no work.
      let asked = await state.leaseRequests.count
      _ = try await socket.resume(always: true)
      while await state.leaseRequests.count == asked {
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  /// As other workers and other volunteers' programs are.
  @Test func programsOfLowPriorityAreNoReasonToStop() async throws {
    let machine = machine
    try machine.write("proc/self/stat", FakeMachine.process(user: 0, system: 0, niceness: 19))
    try await withIdleWorker { socket, _ in
      _ = try await Self.wait(socket) { $0.paused_because.isEmpty }
      // Of 100 ticks 40 are niced, half of them its own, and 2 more are its own.
      try machine.write("proc/self/stat", FakeMachine.process(user: 20, system: 2, niceness: 19))
      try machine.write("proc/stat", FakeMachine.processors(busy: 52, niced: 40, idle: 8))
      let loaded = try await Self.wait(socket) { !$0.paused_because.isEmpty }
      #expect(
        loaded.paused_because == ["other programs take 50 % of the processors (limit 25 %)"])
    }
  }

  @Test func itsOwnTimeIsNoOthersWhereNicedTimeIsNotShown() async throws {
    let machine = machine
    try machine.write("proc/self/stat", FakeMachine.process(user: 0, system: 0, niceness: 19))
    try await withIdleWorker { socket, _ in
      _ = try await Self.wait(socket) { $0.paused_because.isEmpty }
      try machine.write("proc/self/stat", FakeMachine.process(user: 50, system: 0, niceness: 19))
      try machine.write("proc/stat", FakeMachine.processors(busy: 90, idle: 10))
      let loaded = try await Self.wait(socket) { !$0.paused_because.isEmpty }
      #expect(
        loaded.paused_because == ["other programs take 40 % of the processors (limit 25 %)"])
    }
  }

  @Test func limitsOfItsControlGroupsHoldLiveAndAreNamed() async throws {
    let machine = machine
    try machine.write("sys/devices/system/cpu/online", "0-3")
    try machine.write("proc/meminfo", "MemTotal: 1000000 kB")
    try machine.write("proc/self/cgroup", "2:cpu,cpuacct:/box/inner\n3:memory:/box/inner")
    try await withIdleWorker { socket, state in
      let free = try await Self.wait(socket) { _ in true }
      #expect(free.limits.memory_because == nil)
      try machine.write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "50000")
      try machine.write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000")
      try machine.write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "200000000")
      let held = try await Self.wait(socket) { $0.limits.memory_because != nil }
      #expect(held.limits.threads == 1)
      #expect(held.limits.threads_because == "control group's quota")
      #expect(held.limits.memory_bytes <= 180_000_000)
      #expect(held.limits.memory_because == "control group's limit")
      let asked = await state.leaseRequests.count
      while await state.leaseRequests.count <= asked + 1 {
        try await Task.sleep(for: .milliseconds(20))
      }
      let request = try #require(await state.leaseRequests.last)
      #expect(request.threads == 1)
      #expect(request.memoryLimitBytes <= 180_000_000)
    }
  }

  @Test func ofTheConsolesTheOneWithTheKeyboardCounts() async throws {
    let machine = machine
    @Sendable func touch(_ console: String, secondsAgo: Int) throws {
      try machine.write("dev/\(console)", "")
      let time = timeval(tv_sec: Int(Date().timeIntervalSince1970) - secondsAgo, tv_usec: 0)
      #expect(utimes(machine.root + "/dev/" + console, [time, time]) == 0)
    }
    try touch("tty1", secondsAgo: 7200)
    try touch("tty2", secondsAgo: 0)
    try machine.write("sys/class/tty/tty0/active", "tty2")
    try await withIdleWorker { socket, _ in
      var preferences = WorkerPreferences()
      preferences.computesInUse = false
      _ = try await socket.replace(preferences)
      let paused = try await Self.wait(socket) { !$0.paused_because.isEmpty }
      #expect(paused.paused_because == ["somebody uses the machine"])
      try machine.write("sys/class/tty/tty0/active", "tty1")
      let alone = try await Self.wait(socket) { $0.paused_because.isEmpty }
      #expect(alone.mode == "preferences")
      // Without that file, whichever was used last.
      try FileManager.default.removeItem(atPath: machine.root + "/sys/class/tty/tty0/active")
      _ = try await Self.wait(socket) { !$0.paused_because.isEmpty }
    }
  }

  @Test func itAsksTheLoginManagerWhoIsThere() async throws {
    let (authority, machine, place) = (authority, machine, place)
    // Answers as busctl does: first that somebody is there, later that nobody was since 1970.
    try machine.write("run/systemd/seats/seat0", "IS_SEAT0=1")
    try machine.write(
      "usr/bin/busctl",
      #"""
      #!/bin/sh
      [ "$3 $4 $7 $8" = "get-property org.freedesktop.login1 IdleHint IdleSinceHint" ] || exit 1
      printf '{"type":"b","data":%s}\n{"type":"t","data":1}\n' "$(cat "$(dirname "$0")/idle")"
      """#)
    try machine.write("usr/bin/idle", "false")
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o755], ofItemAtPath: machine.root + "/usr/bin/busctl")
    let mayEnd = Mutex(false)
    let runner = FakeRunner { _ in while !mayEnd.withLock({ $0 }) { usleep(1000) } }
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      try await withWorker(
        try await configuration(url, state), runner: runner, sensorRoot: machine.root
      ) { reports in
        try await reports.wait { $0.unit != nil }
        let socket = ControlSocket(dataFolder: place.path("w"))
        var preferences = WorkerPreferences()
        preferences.computesInUse = false
        _ = try await socket.replace(preferences)
        let paused = try await Self.wait(socket) { !$0.paused_because.isEmpty }
        #expect(paused.paused_because == ["somebody uses the machine"])
        try machine.write("usr/bin/idle", "true")
        _ = try await Self.wait(socket) { $0.paused_because.isEmpty }
        mayEnd.withLock { $0 = true }
        try await reports.wait { $0.unitsDone == 1 }
      }
    }
  }
}
