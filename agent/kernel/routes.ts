/** Routes, over a request socket. */
import { type Result, succeed } from '../api/result.ts';
import { isErrno } from './kernel-failure.ts';
import type { IpFamily } from './ip-address.ts';
import type { RequestSocket } from './netlink-socket.ts';
import {
  decodeRoute,
  deleteRouteRequest,
  dumpRoutesRequest,
  newRouteRequest,
  type Route,
  type RouteFilter,
  type RouteSettings,
  RT_TABLE_MAIN,
} from './rtnetlink.ts';

/** Fails with EEXIST when an equal route is there (unless `replace`), ENETUNREACH when the gateway is on no link. */
export function addRoute(
  socket: RequestSocket,
  settings: RouteSettings,
  options: { readonly replace?: boolean; readonly append?: boolean } = {},
): Result<void> {
  return socket.execute(newRouteRequest(settings, options));
}

/** Deletes the first route that matches all that is given. Fails with ESRCH when none does. */
export function deleteRoute(socket: RequestSocket, settings: RouteSettings): Result<void> {
  return socket.execute(deleteRouteRequest(settings));
}

/** Routes of both families (or one), of the main table unless said otherwise; without cache entries. */
export function listRoutes(
  socket: RequestSocket,
  filter: RouteFilter = {},
): Result<readonly Route[]> {
  const families: readonly IpFamily[] = filter.family === undefined ? [4, 6] : [filter.family];
  const table = filter.table ?? RT_TABLE_MAIN;
  const found: Route[] = [];
  for (const family of families) {
    const routes = socket.list(dumpRoutesRequest(family, filter), (bytes, start, end) => {
      const route = decodeRoute(bytes, start, end);
      if (route === undefined || route.cloned) return undefined;
      if (table !== 'all' && route.table !== table) return undefined;
      if (filter.protocol !== undefined && route.protocol !== filter.protocol) return undefined;
      return route;
    });
    if (!routes.ok) {
      // ENOENT: nothing was ever put into that table (fib_get_table). EOPNOTSUPP: the kernel has no IPv6.
      if (isErrno(routes.failure, 'ENOENT')) continue;
      if (family === 6 && isErrno(routes.failure, 'EOPNOTSUPP', 'EAFNOSUPPORT')) continue;
      return routes;
    }
    found.push(...routes.value);
  }
  return succeed(found);
}
