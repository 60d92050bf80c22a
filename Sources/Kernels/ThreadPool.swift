import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Threads that share out the tasks of one job at a time; the caller is one of them.
///
/// A job is a number of tasks. Threads claim tasks from one atomic word that also names the job, so
/// that a thread which wakes late claims nothing of a later job by mistake, and the caller never
/// waits for a thread that has claimed nothing: when another program holds a core, the others
/// simply take its share. Idle threads spin shortly, then sleep on a futex.
///
/// The caller does wait for a thread that lost its core while it held a task. Two habits make that
/// rare: a thread offers its core to others every millisecond, between tasks, so that it is
/// seldom taken away within one; and threads whose waits cost more than they give are left out for
/// a while (`ThreadBudget`).
///
/// `@unchecked Sendable`: what threads share is in `PoolWords`, read and written through atomics;
/// jobs are serialised by a mutex, which also guards `budget`.
package final class ThreadPool: @unchecked Sendable {
  /// Threads including the caller.
  package let threads: Int
  /// Asked before each job with the pool's threads; returns those that may run it, once it may run.
  private let admission: (@Sendable (Int) -> Int)?
  private let words: PoolWords
  private var members: [pthread_t] = []
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var budget: ThreadBudget

  /// - Parameters:
  ///   - threads: including the caller, 1 to 1024.
  ///   - admission: see the property; on the calling thread, which it may hold up.
  /// - Throws: `KernelError.outOfResources` if the system gives no thread.
  package init(
    threads: Int, admission: (@Sendable (Int) -> Int)? = nil
  ) throws(KernelError) {
    self.threads = max(1, min(threads, 1024))
    self.admission = admission
    words = PoolWords(memory: try AlignedMemory(byteCount: 320))
    budget = ThreadBudget(limit: self.threads)
    ck_store32(words.active, UInt32(self.threads))
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    for slot in 1..<max(1, self.threads) {
      let context = UnsafeMutablePointer<Member>.allocate(capacity: 1)
      context.initialize(to: Member(words: words, slot: slot))
      var member = pthread_t()
      guard pthread_create(&member, nil, runMember, context) == 0 else {
        context.deallocate()
        throw KernelError(code: .outOfResources, message: "no thread \(slot) of \(self.threads)")
      }
      members.append(member)
    }
  }

  deinit {
    ck_store32(words.stopping, 1)
    ck_store32(words.active, UInt32.max)
    ck_futex_wake(words.active, Int32.max)
    _ = ck_add32(words.wakeWord, 1)
    ck_futex_wake(words.wakeWord, Int32.max)
    for member in members { pthread_join(member, nil) }
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Runs `body(task, thread)` for every task in 0..<tasks, in any order, and returns when all have
  /// ended. `thread` is below `threads` and names the running thread, for scratch. The
  /// floating-point state is the default within. Tasks must not call `run` of the same pool.
  package func run(tasks: Int, _ body: @Sendable (_ task: Int, _ thread: Int) -> Void) {
    precondition(tasks >= 0 && tasks < 1 << 31)
    let admitted = admission?(threads) ?? threads
    let floatingPoint = ck_enter()
    defer { ck_leave(floatingPoint) }
    if admitted == 1 || tasks <= 1 {
      for task in 0..<tasks { body(task, 0) }
      return
    }
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    let start = nanoseconds()
    let active = min(admitted, budget.threads(at: start))
    if active != Int(ck_load32(words.active)) {
      ck_store32(words.active, UInt32(active))
      ck_futex_wake(words.active, Int32.max)
    }
    guard active > 1 else {
      for task in 0..<tasks { body(task, 0) }
      return
    }
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { pointer in
        publish(tasks: tasks, body: UnsafeRawPointer(pointer))
        var done: UInt32 = 0
        while let claim = words.claimTask() {
          claim.body.pointee(claim.task, 0)
          done += 1
        }
        finish(tasks: UInt32(tasks), done: done, start: start)
      }
    }
  }

  private func publish(tasks: Int, body: UnsafeRawPointer) {
    // Between jobs nothing can be claimed: a late thread must not take a task by the former job's
    // word.
    let job = (ck_load64(words.claim) >> 32) &+ 1
    ck_store64(words.claim, job << 32 | PoolWords.taskMask)
    ck_store32(words.completed, 0)
    ck_store64(words.body, UInt64(UInt(bitPattern: body)))
    ck_store64(words.tasks, UInt64(tasks))
    ck_store64(words.claim, job << 32)
    _ = ck_add32(words.wakeWord, 1)
    if ck_load32(words.sleepers) > 0 {
      ck_futex_wake(words.wakeWord, Int32(clamping: min(threads - 1, tasks - 1)))
    }
  }

  /// Waits for the tasks that others have claimed, and tells the budget how much of that was more
  /// than a task should take by the caller's own.
  private func finish(tasks: UInt32, done: UInt32, start: UInt64) {
    var completed = ck_add32(words.completed, done)
    guard completed != tasks else { return }
    let waitStart = nanoseconds()
    var spins = 0
    while completed != tasks {
      if spins < spinLimit {
        spins += 1
        ck_pause()
      } else {
        // Either this sees the last completion, or the thread that completes sees the sleeper: each
        // writes its own word before it reads the other's, in one order for all threads.
        ck_store32(words.callerSleeps, 1)
        completed = ck_load32(words.completed)
        if completed != tasks { ck_futex_wait(words.completed, completed) }
        ck_store32(words.callerSleeps, 0)
      }
      completed = ck_load32(words.completed)
    }
    let (end, ownTasks) = (nanoseconds(), UInt64(max(1, done)))
    let fair = max(Self.patience, 2 * (waitStart - start) / ownTasks)
    budget.jobEnded(at: end, late: end - waitStart - min(fair, end - waitStart))
  }

  /// Nanoseconds that the caller waits at the end of a job without calling it late.
  private static let patience: UInt64 = 200_000
}

/// A steady clock.
private func nanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Pauses before a thread sleeps: ten to fifty microseconds, by processor.
private let spinLimit = 400

/// The words that the threads share, accessed through atomics only. Those that idle threads read
/// and those that busy threads write lie in different cache lines.
///
/// `@unchecked Sendable`: addresses of atomics.
private struct PoolWords: @unchecked Sendable {
  typealias Body = @Sendable (Int, Int) -> Void

  static let taskMask: UInt64 = 0xffff_ffff

  private let memory: AlignedMemory
  /// The job's number in the high half, its next task in the low half.
  let claim: UnsafeMutablePointer<UInt64>
  /// Address of the closure, and the number of its tasks: written before `claim` names the job.
  let body: UnsafeMutablePointer<UInt64>
  let tasks: UnsafeMutablePointer<UInt64>
  /// Changes with every job: what idle threads sleep on.
  let wakeWord: UnsafeMutablePointer<UInt32>
  let sleepers: UnsafeMutablePointer<UInt32>
  let stopping: UnsafeMutablePointer<UInt32>
  let callerSleeps: UnsafeMutablePointer<UInt32>
  /// Tasks that have ended.
  let completed: UnsafeMutablePointer<UInt32>
  /// Members with this slot or a higher one take no part: they sleep on this word. A member that
  /// reads it late may still claim a task, which is harmless.
  let active: UnsafeMutablePointer<UInt32>

  init(memory: AlignedMemory) {
    self.memory = memory
    let long = memory.base.bindMemory(to: UInt64.self, capacity: 24)
    (claim, body, tasks) = (long, long + 8, long + 9)
    let short = (memory.base + 192).bindMemory(to: UInt32.self, capacity: 16)
    active = (memory.base + 256).bindMemory(to: UInt32.self, capacity: 16)
    wakeWord = (memory.base + 128).bindMemory(to: UInt32.self, capacity: 16)
    (sleepers, stopping, callerSleeps, completed) = (
      wakeWord + 1, wakeWord + 2, wakeWord + 3, short
    )
  }

  /// A task that nobody else has or gets.
  struct Claim {
    let body: UnsafePointer<Body>
    let task: Int
    /// Tasks of its job.
    let count: UInt64
  }

  /// Claims the next task of the current job.
  func claimTask() -> Claim? {
    var word = ck_load64(claim)
    while true {
      let address = ck_load64(body)
      let count = ck_load64(tasks)
      guard word & Self.taskMask < count else { return nil }
      // Succeeds only if the job is still the one whose body and tasks were read: they change only
      // once all its tasks are claimed and ended.
      guard ck_swap64(claim, &word, word &+ 1) else { continue }
      guard let body = UnsafePointer<Body>(bitPattern: UInt(address)) else { return nil }
      return Claim(body: body, task: Int(word & Self.taskMask), count: count)
    }
  }
}

/// A thread of the pool other than the caller.
private struct Member {
  let words: PoolWords
  let slot: Int
  /// When it last gave up its core, in nanoseconds.
  private var rested: UInt64 = 0

  init(words: PoolWords, slot: Int) {
    self.words = words
    self.slot = slot
  }

  /// Waits for jobs and takes part in them, until the pool stops.
  mutating func live() {
    _ = ck_enter()
    var seen: UInt32 = 0
    while true {
      seen = awaitJob(after: seen)
      if ck_load32(words.stopping) != 0 { return }
      while slot < Int(ck_load32(words.active)), let claim = words.claimTask() {
        claim.body.pointee(claim.task, slot)
        // Whatever the task wrote is visible to the caller once it has seen this sum.
        let completed = ck_add32(words.completed, 1)
        if completed == claim.count, ck_load32(words.callerSleeps) != 0 {
          ck_futex_wake(words.completed, 1)
        }
        rest()
      }
    }
  }

  /// Lets others have the core for a moment if it was long this thread's: now, when it holds no
  /// task for which all would wait, rather than when the system takes it.
  private mutating func rest() {
    let now = nanoseconds()
    guard now - min(now, rested) > Self.restInterval else { return }
    sched_yield()
    rested = nanoseconds()
  }

  /// A fraction of the time slices that Linux gives, of 3 ms and more.
  private static let restInterval: UInt64 = 1_000_000

  /// Returns the wake word once it differs from `seen` and this member takes part.
  private mutating func awaitJob(after seen: UInt32) -> UInt32 {
    while true {
      let active = ck_load32(words.active)
      guard slot >= Int(active) else { break }
      ck_futex_wait(words.active, active)
    }
    for _ in 0..<spinLimit {
      let word = ck_load32(words.wakeWord)
      if word != seen { return word }
      ck_pause()
    }
    defer { rested = nanoseconds() }
    _ = ck_add32(words.sleepers, 1)
    defer { _ = ck_add32(words.sleepers, UInt32.max) }
    while true {
      let word = ck_load32(words.wakeWord)
      if word != seen { return word }
      ck_futex_wait(words.wakeWord, seen)
    }
  }
}

private func runMember(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let argument else { return nil }
  let pointer = argument.assumingMemoryBound(to: Member.self)
  var member = pointer.move()
  pointer.deallocate()
  member.live()
  return nil
}
