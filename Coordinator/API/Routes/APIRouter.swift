import Hummingbird

/// All routes of the coordinator.
package enum APIRouter {
  package static func make(_ environment: APIEnvironment) -> Router<CoordinatorRequestContext> {
    let router = Router(context: CoordinatorRequestContext.self)
    router.add(middleware: ErrorMiddleware())
    let authenticated = KeyAuthentication(store: environment.store)
    let worker = WorkerAuthentication(store: environment.store, now: environment.now)
    FileRoutes(environment: environment, authenticated: authenticated).add(to: router)
    BatchRoutes(environment: environment, authenticated: authenticated).add(to: router)
    PublicRoutes(environment: environment, authenticated: authenticated).add(to: router)
    EnrolmentRoutes(environment: environment, worker: worker).add(to: router)
    WorkRoutes(environment: environment, worker: worker).add(to: router)
    return router
  }
}
